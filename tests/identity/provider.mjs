// A certified OpenID Connect provider (oidc-provider) on a loopback port, with one client: the portal under test.
// node provider.mjs '{"client_id", "client_secret", "callback", "ended", "port"}' ; prints "ready <issuer>" when it serves.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
const here = createRequire(new URL("../npm/package.json", import.meta.url));
const { Provider } = await import(pathToFileURL(here.resolve("oidc-provider")).href);
const told = JSON.parse(process.argv[2]);
const server = createServer();
await new Promise((done) => server.listen(told.port, "127.0.0.1", done));
const issuer = `http://127.0.0.1:${server.address().port}`;
const people = { an: { name: "Nguyễn Thị An", acr: "loa2", number: "031190000017" }, binh: { name: "Bình\u202e", acr: "loa1", number: "x" } };
const provider = new Provider(issuer, {
  clients: [{
    client_id: told.client_id, client_secret: told.client_secret, redirect_uris: [told.callback],
    response_types: ["code"], grant_types: ["authorization_code"], token_endpoint_auth_method: "client_secret_basic",
    backchannel_logout_uri: told.ended, backchannel_logout_session_required: true,
  }],
  acrValues: ["loa1", "loa2"],
  pkce: { required: () => true },
  claims: { openid: ["sub", "acr", "sid"], profile: ["name", "personal_number"] },
  conformIdTokenClaims: false,
  cookies: { keys: ["only-for-tests"] },
  features: {
    devInteractions: { enabled: false },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: { enabled: true },
  },
  // Its own agent refuses loopback addresses, where the portal under test is.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, name: people[sub].name, personal_number: people[sub].number }) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  renderError: (ctx, out) => { ctx.type = "json"; ctx.body = out; },
});
// Whoever the query names is signed in and agrees: the pages between belong to the provider and are not under test.
const serve = provider.callback();
server.on("request", async (request, response) => {
  const path = /^\/interaction\/[^/?]+/.exec(request.url);
  if (!path) return serve(request, response);
  try {
    const { prompt, params, session } = await provider.interactionDetails(request, response);
    const who = new URL(request.url, issuer).searchParams.get("as") || told.person;
    let result;
    if (prompt.name === "login") result = { login: { accountId: who, acr: people[who].acr } };
    else {
      const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
      grant.addOIDCScope("openid profile");
      result = { consent: { grantId: await grant.save() } };
    }
    await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
  } catch (error) {
    response.statusCode = 500;
    response.end(String(error));
  }
});
console.log(`ready ${issuer}`);
