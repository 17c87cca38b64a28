/* Checks a receipt in the browser: record, both signatures, place in the log, whose keys.
 *
 * Written on its own from the published formats (RFC 9421, RFC 9162, C2SP signed-note, tlog-checkpoint, tlog-proof,
 * RFC 7638), sharing nothing with the node or with the Python verifier.  It asks no network for anything: only
 * WebCrypto, and the files the reader gives it.
 */
"use strict";

(() => {
  // --- what is claimed, and why a claim fails: [Vietnamese, English]

  const CLAIMS = {
    "record-form": ["Bản ghi viết đúng từng chữ theo khuôn dạng 1", "The record is written letter by letter as format 1 is"],
    "record-hash": ["Mã băm đúng là của bản ghi này", "The hash is the hash of this record"],
    "request-signature": ["Chữ ký trên yêu cầu là thật", "The signature on the request is genuine"],
    "request-fits": ["Yêu cầu đã ký nói về đúng lần sử dụng này", "The signed request is about this very use"],
    "request-digest": ["Bản ghi dẫn đúng chữ ký của yêu cầu", "The record refers to the request’s signature"],
    "response-signature": ["Chữ ký trên câu trả lời là thật", "The signature on the answer is genuine"],
    "response-bound": ["Câu trả lời được ký cho đúng yêu cầu này", "The answer was signed for this request"],
    "response-fits": ["Câu trả lời được ký kèm đúng bản ghi này", "The answer was signed together with this record"],
    "response-digest": ["Bản ghi dẫn đúng chữ ký của câu trả lời", "The record refers to the answer’s signature"],
    "checkpoint": ["Điểm kiểm tra có chữ ký của nhật ký", "The checkpoint carries the log’s signature"],
    "witnesses": ["Đủ bên làm chứng cùng ký điểm kiểm tra", "Enough witnesses cosigned the checkpoint"],
    "inclusion": ["Bản ghi nằm trong nhật ký", "The record is in the log"],
    "directory": ["Danh bạ có chữ ký của khóa gốc đã cho", "The directory carries the signature of the anchor given"],
    "log-key": ["Khóa của nhật ký là khóa của nút này", "The log’s key is the key of this node"],
    "consumer-key": ["Khóa ký yêu cầu là của bên khai thác", "The request’s key is the consumer’s"],
    "provider-key": ["Khóa ký câu trả lời là của bên cung cấp", "The answer’s key is the provider’s"],
  };

  const REASONS = {
    malformed: ["Thiếu, hoặc không đúng khuôn dạng.", "Missing, or not of the right form."],
    format: ["Tệp này không phải biên nhận khuôn dạng 1.", "This file is not a receipt of format 1."],
    spelling: ["Chữ viết khác với khuôn dạng: đã bị sửa hoặc viết lại.", "Spelt otherwise than the format: altered or rewritten."],
    node: ["Biên nhận nêu nút khác với bản ghi.", "The receipt names another node than the record does."],
    hash: ["Tính lại ra {found}.", "It comes out as {found}."],
    earlier: ["Không kiểm được vì phần cần cho bước này sai hoặc thiếu.", "Not checked: what it needs is wrong or missing."],
    withheld: [
      "Bản công khai giữ lại các thông điệp. Nó chứng minh bản ghi và chỗ của bản ghi trong nhật ký, không chứng minh ai đã ký yêu cầu và câu trả lời. Hãy lấy bản đầy đủ ở nút của mình.",
      "The public copy withholds the messages. It proves the record and its place in the log, not who signed request and answer. Your own node gives the whole.",
    ],
    stripped: ["Thiếu thông điệp mà bản ghi dẫn tới.", "The message that the record refers to is missing."],
    unsigned: ["Cách sử dụng này không có thông điệp được ký.", "This way of use has no signed message."],
    "no-answer": ["Không có câu trả lời nào được ghi lại.", "No answer was recorded."],
    thumbprint: ["Khóa không ứng với mã khóa.", "The key does not match its id."],
    key: ["Không phải khóa P-256.", "Not a P-256 key."],
    signature: ["Chữ ký không khớp: nội dung đã bị sửa, hoặc khóa khác đã ký.", "The signature does not match: the content was altered, or another key signed."],
    covered: ["Chữ ký bao trùm các phần khác với quy định.", "The signature covers other parts than the profile demands."],
    profile: ["Tham số của chữ ký khác với quy định.", "The signature’s parameters are not those of the profile."],
    differs: ["Mục “{part}”: đã ký “{signed}”, bản ghi nêu “{recorded}”.", "“{part}”: signed as “{signed}”, recorded as “{recorded}”."],
    "open-part": ["Mục “{part}” chỉ một bên nêu.", "“{part}” is stated on one side only."],
    late: ["Giờ ghi cách giờ ký quá mười phút.", "Recorded more than ten minutes from the signing."],
    digest: ["Chữ ký kèm theo là một chữ ký khác.", "The signature given is a different one."],
    "other-request": ["Đây là câu trả lời cho một yêu cầu khác.", "This is the answer to another request."],
    "other-record": ["Câu trả lời nêu bản ghi {signed}.", "The answer names the record {signed}."],
    body: ["Nội dung trả lời đã ký khác với bản ghi.", "The body that was signed is not the one recorded."],
    circle: ["Bản ghi của bên cung cấp không thể dẫn tới câu trả lời của chính nó.", "A provider’s record can not refer to its own answer."],
    "no-proof": ["Chưa có điểm kiểm tra nào bao trùm bản ghi. Hãy lấy lại biên nhận sau một giây.", "No checkpoint covers the record yet. Fetch the receipt again in a second."],
    proof: ["Bằng chứng không đúng khuôn dạng.", "The proof is malformed."],
    path: ["Đường dẫn không tới gốc của điểm kiểm tra.", "The path does not lead to the checkpoint’s root."],
    outside: ["Vị trí nằm ngoài nhật ký.", "The place lies outside the log."],
    note: ["Không phải điểm kiểm tra đúng khuôn dạng.", "Not a well-formed checkpoint."],
    "verifier-key": ["Khóa của nhật ký không đúng khuôn dạng.", "The log’s key is malformed."],
    "not-by-log": ["Không có chữ ký của {name}.", "There is no signature of {name}."],
    "other-log": ["Điểm kiểm tra của nhật ký khác: {origin}.", "A checkpoint of another log: {origin}."],
    "self-asserted": ["Khóa do chính biên nhận tự nêu. Hãy thêm danh bạ để biết khóa của ai.", "The receipt itself names the key. Add the directory to learn whose it is."],
    "no-directory": ["Chưa có danh bạ nên chưa biết khóa của ai.", "Without the directory nobody can tell whose key it is."],
    "no-anchor": ["Chưa có khóa gốc nên danh bạ chưa được chứng thực.", "Without the anchor the directory itself is not proven."],
    "other-key": ["Khóa khác với khóa được tin.", "Another key than the trusted one."],
    "not-in-directory": ["Danh bạ không ghi khóa này cho {who} vào lúc đó.", "The directory had no such key for {who} at that time."],
    cosignature: ["Chữ ký của {name} không khớp.", "The cosignature of {name} does not match."],
    "cosigned-before": ["{name} ký trước khi có bản ghi này.", "{name} cosigned before this record existed."],
    "too-few": ["{count} trên {all} bên đã ký: chưa đạt chính sách.", "{count} of {all} cosigned: the policy is not met."],
    "own-policy": [
      "{count} trên {all} bên đã ký, theo lời biên nhận. Thêm chính sách hoặc danh bạ để biết đó là ai.",
      "{count} of {all} cosigned, by the receipt’s word. Add the policy or the directory to learn who they are.",
    ],
    policy: ["Chính sách không đúng khuôn dạng ở dòng {line}.", "The policy is malformed in line {line}."],
    "no-webcrypto": ["Trình duyệt này không kiểm được chữ ký Ed25519. Hãy dùng bản mới hơn.", "This browser can not check Ed25519 signatures. Use a newer one."],
  };

  // --- the record, letter by letter

  const TEXT = String.raw`"[^"\\\x00-\x1f]*(?:\\(?:["\\bfnrt]|u00[01][0-9a-f])[^"\\\x00-\x1f]*)*"`;
  const HASH = `"[0-9a-f]{64}"`;
  const DIGEST = `"sha-256:[0-9a-f]{64}"`;
  const orNull = (form) => `(?:null|${form})`;
  const anyOf = (...words) => `(?:${words.map((word) => `"${word}"`).join("|")})`;
  const COUNT = orNull("(?:0|[1-9][0-9]{0,15})");
  const FORM = [
    ["v", "1"], ["side", anyOf("consumer", "provider")], ["exchange_id", TEXT],
    ["at", String.raw`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"`],
    ["node", TEXT], ["consumer", TEXT], ["provider", TEXT], ["resource", TEXT],
    ["way", anyOf("call", "table", "query", "event")], ["purpose", orNull(TEXT)], ["ground", orNull(TEXT)],
    ["agreement", orNull(String.raw`\{"id":${TEXT},"version":${TEXT},"digest":${DIGEST}\}`)],
    ["decision_digest", orNull(DIGEST)], ["outcome", anyOf("permitted", "refused", "failed")],
    ["reason", orNull(TEXT)], ["target_commitment", orNull(HASH)], ["request_signature_digest", orNull(DIGEST)],
    ["response_signature_digest", orNull(DIGEST)], ["body_digest", orNull(DIGEST)], ["bytes", COUNT], ["rows", COUNT],
    ["subjects", String.raw`\[(?:${HASH}(?:,${HASH})*)?\]`], ["peer_record", orNull(HASH)],
  ];
  const RECORD = new RegExp(`^\\{${FORM.map(([name, form]) => `"${name}":${form}`).join(",")}\\}$`);

  // --- what the two signed messages cover

  const REQUEST = [
    "@method", "@target-uri", "@authority", "content-digest", "content-type", "lienthong-client", "lienthong-service",
    "lienthong-purpose", "lienthong-agreement", "lienthong-exchange",
  ];
  const WHEN_PRESENT = [
    "lienthong-method", "x-road-client", "x-road-id", "x-road-userid", "x-road-issue", "x-road-represented-party",
    "x-road-security-server", "x-road-request-id",
  ];
  const RESPONSE = ["@status", "content-digest", "lienthong-record", "signature;req"];
  const LONGEST_LIFE_S = 60;
  const FARTHEST_MS = 600_000;

  // --- outcomes of a check

  class Wrong extends Error {
    constructor(reason, facts = {}) {
      super(reason);
      this.ok = false;
      this.reason = reason;
      this.facts = facts;
    }
  }

  class Unshown extends Wrong {
    constructor(reason, facts = {}, result = undefined) {
      super(reason, facts);
      this.ok = null;
      this.result = result;
    }
  }

  const demand = (holds, reason, facts) => {
    if (!holds) throw new Wrong(reason, facts);
  };

  class Checks {
    list = [];

    /** Make one check; `needs` that are undefined make it one that can not be made. */
    async run(name, check, ...needs) {
      const entry = { name, ok: true, reason: null, facts: {} };
      let result;
      try {
        if (needs.includes(undefined)) throw new Unshown("earlier");
        result = await check(...needs);
      } catch (problem) {
        // A receipt is a stranger's text: whatever breaks while it is taken apart is a malformed receipt.
        const known = problem instanceof Wrong ? problem : new Wrong("malformed");
        Object.assign(entry, { ok: known.ok, reason: known.reason, facts: known.facts });
        result = known.result;
      }
      this.list.push(entry);
      return result;
    }

    get last() {
      return this.list[this.list.length - 1];
    }
  }

  // --- octets

  const utf8 = (text) => {
    demand(typeof text === "string" && text.isWellFormed(), "malformed");
    return new TextEncoder().encode(text);
  };
  const fromUtf8 = (octets) => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(octets);
  const join = (first, second) => {
    const joined = new Uint8Array(first.length + second.length);
    joined.set(first);
    joined.set(second, first.length);
    return joined;
  };
  const hex = (octets) => [...octets].map((octet) => octet.toString(16).padStart(2, "0")).join("");
  const same = (one, other) => one.length === other.length && one.every((octet, at) => octet === other[at]);
  const sha256 = async (octets) => new Uint8Array(await crypto.subtle.digest("SHA-256", octets));
  const toBase64 = (octets) => btoa(Array.from(octets, (octet) => String.fromCharCode(octet)).join(""));
  const fromBase64 = (text) => {
    const octets = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
    demand(toBase64(octets) === text, "malformed");
    return octets;
  };
  const fromBase64Url = (text) => fromBase64(text.replaceAll("-", "+").replaceAll("_", "/") + "=");
  const matched = (pattern, text) => {
    const found = pattern.exec(text);
    demand(found !== null, "malformed");
    return found.slice(1);
  };

  // --- keys and signatures

  const thumbprint = async (jwk) => {
    const members = jwk.kty === "EC" ? ["crv", "kty", "x", "y"] : ["crv", "kty", "x"];
    const required = Object.fromEntries(members.map((member) => [member, jwk[member]]));
    demand(members.every((member) => typeof jwk[member] === "string"), "malformed");
    const digest = await sha256(utf8(JSON.stringify(required)));
    return toBase64(digest).replaceAll("+", "-").replaceAll("/", "_").replace("=", "");
  };

  const es256Holds = async (jwk, signature, octets) => {
    demand(jwk.kty === "EC" && jwk.crv === "P-256", "key");
    const { kty, crv, x, y } = jwk;
    const key = await crypto.subtle.importKey("jwk", { kty, crv, x, y }, { name: "ECDSA", namedCurve: "P-256" }, false, ["verify"]);
    return crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, signature, octets);
  };

  const ed25519Holds = async (publicKey, signature, octets) => {
    let key;
    try {
      key = await crypto.subtle.importKey("raw", publicKey, { name: "Ed25519" }, false, ["verify"]);
    } catch (problem) {
      if (problem.name === "NotSupportedError") throw new Unshown("no-webcrypto");
      throw problem;
    }
    return crypto.subtle.verify({ name: "Ed25519" }, key, signature, octets);
  };

  // --- record and messages

  const readRecord = (receipt) => {
    demand(receipt.format === 1, "format");
    demand(typeof receipt.record === "string", "malformed");
    demand(RECORD.test(receipt.record), "spelling");
    const record = JSON.parse(receipt.record);
    demand(receipt.node === record.node, "node");
    return record;
  };

  const checkHash = async (receipt) => {
    const leaf = await sha256(join([0], utf8(receipt.record)));
    demand(hex(leaf) === receipt.record_hash, "hash", { found: hex(leaf) });
    return leaf;
  };

  const absentMessage = (receipt, record, role) => {
    if (receipt.withheld === "messages") return new Unshown("withheld");
    if (record === undefined || record[`${role}_signature_digest`] !== null) return new Wrong("stripped");
    return new Unshown(receipt.messages ? "no-answer" : "unsigned");
  };

  const readMessage = async (receipt, record, role) => {
    demand(receipt.messages === null || typeof receipt.messages === "object", "malformed");
    const sent = receipt.messages?.[role] ?? null;
    if (sent === null) throw absentMessage(receipt, record, role);
    const octets = fromBase64(sent.base);
    const raw = fromBase64(sent.signature);
    demand((await thumbprint(sent.jwk)) === sent.keyid, "thumbprint");
    demand(await es256Holds(sent.jwk, raw, octets), "signature");
    const lines = fromUtf8(octets).split("\n");
    const last = lines.pop();
    const found = lines.map((line) => matched(/^"([a-z@-]+)"((?:;req)?): ([!-~](?:[ -~]*[!-~])?)$/, line));
    const names = found.map(([name, req]) => name + req);
    const wanted = role === "request" ? [...REQUEST, ...WHEN_PRESENT.filter((name) => names.includes(name))] : RESPONSE;
    const covered = `"@signature-params": (${found.map(([name, req]) => `"${name}"${req}`).join(" ")})`;
    demand(names.join("\n") === wanted.join("\n") && last.startsWith(covered), "covered");
    const parameters = readParameters(last.slice(covered.length));
    demand(parameters.keyid === sent.keyid, "thumbprint");
    return { parts: new Map(found.map(([name, req, value]) => [name + req, value])), parameters, raw, keyid: sent.keyid };
  };

  const readParameters = (text) => {
    const parameters = {};
    const one = /;([a-z]+)=(?:([0-9]{1,12})|"([!#-\[\]-~]{1,128})")/y;
    let count = 0;
    while (one.lastIndex < text.length) {
      const found = one.exec(text);
      demand(found !== null, "profile");
      parameters[found[1]] = found[2] ?? found[3];
      count += 1;
    }
    const names = Object.keys(parameters).sort().join(" ");
    demand(count === 5 && names === "created expires keyid nonce tag", "profile");
    demand(/^[0-9]+$/.test(parameters.created) && /^[0-9]+$/.test(parameters.expires), "malformed");
    const life = Number(parameters.expires) - Number(parameters.created);
    demand(parameters.tag === "lienthong-1" && life > 0 && life <= LONGEST_LIFE_S, "profile");
    demand(/^[A-Za-z0-9_-]{22}$/.test(parameters.nonce), "profile");
    return parameters;
  };

  const memberOf = (id) => id.split("/").slice(0, 3).join("/");

  const instant = (text) => {
    const moment = new Date(text);
    demand(!Number.isNaN(moment.getTime()) && moment.toISOString() === text, "malformed");
    return moment.getTime();
  };

  const checkRequest = (request, record) => {
    const agreement = record.agreement ? `${record.agreement.id};${record.agreement.version}` : null;
    let open = null;
    for (const [part, field, recorded] of [
      ["exchange_id", "lienthong-exchange", record.exchange_id],
      ["consumer", "lienthong-client", record.consumer],
      ["resource", "lienthong-service", record.resource],
      ["purpose", "lienthong-purpose", record.purpose],
      ["agreement", "lienthong-agreement", agreement],
    ]) {
      const sent = request.parts.get(field);
      const signed = sent === "-" ? null : sent;
      if (signed === recorded) continue;
      // The caller may leave purpose or agreement to the provider, and a refusal may record neither.
      demand(signed === null || (recorded === null && record.outcome !== "permitted"), "differs", { part, signed, recorded });
      open = part;
    }
    demand(record.provider === memberOf(record.resource), "differs", { part: "provider", signed: record.resource, recorded: record.provider });
    demand(Math.abs(instant(record.at) - 1000 * Number(request.parameters.created)) <= FARTHEST_MS, "late");
    if (open !== null) throw new Unshown("open-part", { part: open });
  };

  const checkDigest = async (role, message, record) => {
    demand(record[`${role}_signature_digest`] === `sha-256:${hex(await sha256(message.raw))}`, "digest");
  };

  const checkBound = (response, request) => {
    demand(response.parts.get("signature;req") === `lt=:${toBase64(request.raw)}:`, "other-request");
    demand(response.parameters.nonce === request.parameters.nonce, "other-request");
  };

  const checkResponse = (response, record, leaf) => {
    const named = response.parts.get("lienthong-record");
    if (record.side === "provider") {
      demand(record.peer_record === null && record.response_signature_digest === null, "circle");
      demand(named === hex(leaf), "other-record", { signed: named });
    } else {
      demand(named === record.peer_record, "other-record", { signed: named });
    }
    const [digest] = matched(/^sha-256=:([A-Za-z0-9+/=]+):$/, response.parts.get("content-digest"));
    demand(record.body_digest === `sha-256:${hex(fromBase64(digest))}`, "body");
  };

  // --- the log

  const splitProof = (text) => {
    demand(typeof text === "string", "malformed");
    const gap = text.indexOf("\n\n");
    const [first, ...lines] = (gap < 0 ? text : text.slice(0, gap)).split("\n");
    if (lines[0]?.startsWith("extra ")) lines.shift();
    demand(gap >= 0 && first === "c2sp.org/tlog-proof@v1" && lines.length >= 1 && lines.length <= 65, "proof");
    const path = lines.slice(1).map(fromBase64);
    demand(path.every((node) => node.length === 32), "proof");
    const [index] = matched(/^index (0|[1-9][0-9]{0,17})$/, lines[0]);
    return { index: BigInt(index), path, note: text.slice(gap + 2) };
  };

  /** Name, id and octets of a verifier key: `kind` 1 is a log's, 4 a witness's. */
  const readNoteKey = async (text, kind) => {
    const [name, id, encoded] = matched(/^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/, text.trim());
    const octets = fromBase64(encoded);
    const named = await sha256(join(utf8(`${name}\n`), octets));
    demand(octets.length === 33 && octets[0] === kind && hex(named.slice(0, 4)) === id, "verifier-key");
    return { name, id, octets: octets.slice(1) };
  };

  /** Whether `origin` is the log of that name, or one of its half-year shards. */
  const isShard = (log, origin) =>
    origin === log || (origin.startsWith(`${log}/`) && /^[1-9][0-9]{3}h[12]$/.test(origin.slice(log.length + 1)));

  /** Whether `key` is the log's `verifierKey` as its shard `origin` bears it. */
  const isKeyOfShard = async (verifierKey, origin, key) => {
    const [log, shard] = [await readNoteKey(verifierKey, 1), await readNoteKey(key, 1)];
    return isShard(log.name, origin) && shard.name === origin && same(log.octets, shard.octets);
  };

  /** Text and signatures of a signed note. */
  const splitNote = (note) => {
    const gap = note.lastIndexOf("\n\n");
    demand(gap >= 0 && note.endsWith("\n") && !/[\x00-\x09\x0b-\x1f]/.test(note), "note");
    const signatures = note.slice(gap + 2, -1).split("\n").map((line) => {
      const [by, signature] = matched(/^— ([^\s+]+) ([A-Za-z0-9+/=]+)$/, line);
      return { by, octets: fromBase64(signature) };
    });
    return { text: note.slice(0, gap + 1), signatures };
  };

  const madeBy = ({ name, id }, signatures) =>
    signatures.filter(({ by, octets }) => by === name && hex(octets.slice(0, 4)) === id);

  const openCheckpoint = async (note, verifierKey) => {
    const key = await readNoteKey(verifierKey, 1);
    const { text, signatures } = splitNote(note);
    const made = madeBy(key, signatures);
    demand(made.length > 0, "not-by-log", { name: key.name });
    for (const { octets } of made) {
      demand(await ed25519Holds(key.octets, octets.slice(4), utf8(text)), "signature");
    }
    const [origin, size, root, ...rest] = text.split("\n");
    demand(/^(?:0|[1-9][0-9]{0,17})$/.test(size), "malformed");
    const tree = { origin, size: BigInt(size), root: fromBase64(root) };
    demand(origin !== "" && tree.root.length === 32 && rest.indexOf("") === rest.length - 1, "note");
    return tree;
  };

  const checkCheckpoint = async (receipt) => {
    const tree = await openCheckpoint(splitProof(receipt.proof).note, receipt.log.key);
    demand(tree.origin === receipt.log.origin, "other-log", { origin: tree.origin });
    return tree;
  };

  const nodeHash = (left, right) => sha256(join([1], join(left, right)));

  /** RFC 9162, section 2.1.3.2. */
  const checkInclusion = async (receipt, leaf, tree) => {
    const { index, path } = splitProof(receipt.proof);
    demand(index < tree.size, "outside");
    let place = index;
    let last = tree.size - 1n;
    let hash = leaf;
    for (const sibling of path) {
      demand(last !== 0n, "path");
      if (place % 2n === 1n || place === last) {
        hash = await nodeHash(sibling, hash);
        while (place !== 0n && place % 2n === 0n) {
          place /= 2n;
          last /= 2n;
        }
      } else {
        hash = await nodeHash(hash, sibling);
      }
      place /= 2n;
      last /= 2n;
    }
    demand(last === 0n && same(hash, tree.root), "path");
    return { index, size: tree.size };
  };

  // --- witnesses: a quorum is { least, members }, a member a verifier key or a quorum

  const keysOf = (quorum) => quorum.members.flatMap((one) => (typeof one === "string" ? [one] : keysOf(one)));

  const isMet = (quorum, signed) =>
    quorum.members.filter((one) => (typeof one === "string" ? signed.has(one) : isMet(one, signed))).length >= quorum.least;

  /** Which of `keys` cosigned the note, and when; one wrong cosignature under such a key spoils the note. */
  const readCosignatures = async (note, keys) => {
    const { text, signatures } = splitNote(note);
    const signed = new Map();
    for (const key of keys) {
      const witness = await readNoteKey(key, 4);
      for (const { octets } of madeBy(witness, signatures)) {
        demand(octets.length === 76, "cosignature", { name: witness.name });
        const seconds = new DataView(octets.buffer, octets.byteOffset).getBigUint64(4);
        const message = utf8(`cosignature/v1\ntime ${seconds}\n${text}`);
        demand(await ed25519Holds(witness.octets, octets.slice(12), message), "cosignature", { name: witness.name });
        signed.set(key, Number(seconds));
      }
    }
    return signed;
  };

  /** `lenient`: the reason to give, as not shown, where the policy's source asks for no refusal. */
  const checkQuorum = async (note, quorum, record, lenient) => {
    const keys = keysOf(quorum);
    const signed = await readCosignatures(note, keys);
    for (const [key, seconds] of signed) {
      const early = record !== undefined && 1000 * seconds < instant(record.at) - FARTHEST_MS;
      demand(!early, "cosigned-before", { name: key.split("+")[0] });
    }
    const counts = { count: signed.size, all: keys.length };
    const met = isMet(quorum, signed);
    if (lenient === "own-policy") throw new Unshown(met ? "own-policy" : "too-few", counts);
    if (!met) throw new (lenient ? Unshown : Wrong)("too-few", counts);
  };

  /** A policy file (c2sp.org/tlog-policy). */
  const readPolicy = async (text, origin) => {
    const named = new Map([["none", { least: 0, members: [] }]]);
    const logs = [];
    let quorum;
    for (const [at, line] of text.split("\n").entries()) {
      const wrong = { line: at + 1 };
      const [word = "#", name, ...rest] = line.split(/[ \t]+/).filter(Boolean);
      if (word.startsWith("#")) continue;
      demand(name !== undefined, "policy", wrong);
      if (word === "log") {
        logs.push((await readNoteKey(name, 1)).name);
      } else if (word === "witness") {
        demand(rest.length > 0 && !named.has(name) && ![...named.values()].includes(rest[0]), "policy", wrong);
        await readNoteKey(rest[0], 4);
        named.set(name, rest[0]);
      } else if (word === "group") {
        const [count, ...members] = rest;
        demand(members.length > 0 && !named.has(name) && new Set(members).size === members.length, "policy", wrong);
        demand(members.every((one) => named.has(one)), "policy", wrong);
        const least = count === "any" ? 1 : count === "all" ? members.length : /^[0-9]{1,3}$/.test(count) ? Number(count) : 0;
        demand(least >= 1 && least <= members.length, "policy", wrong);
        named.set(name, { least, members: members.map((one) => named.get(one)) });
      } else {
        demand(word === "quorum" && rest.length === 0 && quorum === undefined && named.has(name), "policy", wrong);
        quorum = named.get(name);
      }
    }
    demand(quorum !== undefined, "policy", { line: 0 });
    demand(logs.length === 0 || logs.some((log) => isShard(log, origin)), "other-log", { origin });
    return typeof quorum === "string" ? { least: 1, members: [quorum] } : quorum;
  };

  /** The directory's policy for one log: the word of its own node does not count. */
  const policyOfDirectory = ({ witness_policy: policy, nodes }, origin) => {
    const members = nodes
      .filter((node) => policy.witnesses.includes(node.id) && node.witness_key && !isShard(node.log_origin, origin))
      .map((node) => node.witness_key);
    return { least: policy.threshold, members };
  };

  /** Check cosignatures by the reader's policy, else the directory's, else the one the receipt states. */
  const checkWitnesses = async (checks, receipt, record, tree, policy, directory) => {
    const note = () => splitProof(receipt.proof).note;
    const run = (make) => checks.run("witnesses", make, tree);
    if (policy !== undefined) {
      await run(async (one) => checkQuorum(note(), await readPolicy(policy, one.origin), record));
    } else if (directory?.witness_policy?.threshold) {
      await run((one) => checkQuorum(note(), policyOfDirectory(directory, one.origin), record, "too-few"));
    } else if (receipt.witnesses?.threshold) {
      const { threshold, witnesses } = receipt.witnesses;
      await run(() => checkQuorum(note(), { least: threshold, members: witnesses.map(String) }, record, "own-policy"));
    }
  };

  // --- whose keys

  const openDirectory = async (text, anchor) => {
    const envelope = JSON.parse(text);
    const payload = fromBase64(envelope.payload);
    const document = JSON.parse(fromUtf8(payload));
    if (anchor === undefined) throw new Unshown("no-anchor", {}, document);
    const keyid = await thumbprint(anchor);
    const signatures = envelope.signatures.filter((one) => one.keyid === keyid);
    demand(signatures.length > 0, "signature");
    const signed = join(utf8("lienthong document 1\n"), payload);
    for (const { sig } of signatures) {
      const holds = anchor.kty === "EC"
        ? await es256Holds(anchor, fromBase64(sig), signed)
        : await ed25519Holds(fromBase64Url(anchor.x), fromBase64(sig), signed);
      demand(holds, "signature");
    }
    return document;
  };

  const checkLogKey = async (log, record, directory, logKey) => {
    demand(typeof log?.key === "string" && typeof log.origin === "string", "malformed");
    demand(logKey === undefined || (await isKeyOfShard(logKey, log.origin, log.key)), "other-key");
    if (directory !== undefined) {
      const member = memberOf(record[record.side]);
      const node = directory.nodes.find((one) => one.id === record.node && one.members.includes(member));
      demand(node !== undefined, "not-in-directory", { who: record.node });
      const ours = isShard(node.log_origin, log.origin) && (await isKeyOfShard(node.log_key, log.origin, log.key));
      demand(ours, "other-key");
    } else if (logKey === undefined) {
      throw new Unshown("self-asserted");
    }
  };

  const checkMember = (message, record, side, directory) => {
    if (directory === undefined) throw new Unshown("no-directory");
    const who = memberOf(record[side]);
    const at = instant(record.at);
    const keys = directory.members.filter((member) => member.id === who).flatMap((member) => member.keys);
    const valid = keys.some(
      (key) => key.keyid === message.keyid && Date.parse(key.valid_from) <= at && at < Date.parse(key.valid_to),
    );
    demand(valid, "not-in-directory", { who });
  };

  /** All checks of one receipt; `trust` may hold `directory` and `policy` (texts), `anchor` (JWK) and `logKey`. */
  const verifyReceipt = async (receipt, trust = {}) => {
    const checks = new Checks();
    const record = await checks.run("record-form", () => readRecord(receipt));
    const leaf = await checks.run("record-hash", () => checkHash(receipt));
    const request = await checks.run("request-signature", () => readMessage(receipt, record, "request"));
    if (request || checks.last.ok === false) {
      await checks.run("request-fits", checkRequest, request, record);
      await checks.run("request-digest", (...given) => checkDigest("request", ...given), request, record);
    }
    const response = await checks.run("response-signature", () => readMessage(receipt, record, "response"));
    if (response || checks.last.ok === false) {
      await checks.run("response-bound", checkBound, response, request);
      await checks.run("response-fits", checkResponse, response, record, leaf);
      if (record === undefined || record.side === "consumer") {
        await checks.run("response-digest", (...given) => checkDigest("response", ...given), response, record);
      }
    }
    let place;
    let tree;
    if (receipt.proof === null || receipt.proof === undefined) {
      await checks.run("inclusion", () => { throw new Unshown("no-proof"); });
    } else {
      tree = await checks.run("checkpoint", () => checkCheckpoint(receipt));
      place = await checks.run("inclusion", (...given) => checkInclusion(receipt, ...given), leaf, tree);
    }
    const directory = trust.directory === undefined
      ? undefined
      : await checks.run("directory", () => openDirectory(trust.directory, trust.anchor));
    if (receipt.proof !== null && receipt.proof !== undefined) {
      await checkWitnesses(checks, receipt, record, tree, trust.policy, directory);
    }
    await checks.run("log-key", (one) => checkLogKey(receipt.log, one, directory, trust.logKey), record);
    for (const [side, message] of [["consumer", request], ["provider", response]]) {
      if (message) await checks.run(`${side}-key`, (...given) => checkMember(given[0], given[1], side, directory), message, record);
    }
    const states = checks.list.map((check) => check.ok);
    return { ok: !states.includes(false) && states.includes(true), checks: checks.list, record, place };
  };

  globalThis.lienthongVerifier = { verifyReceipt, CLAIMS, REASONS };

  // --- the page

  const GROUPS = [
    { title: ["Bản ghi", "The record"], checks: ["record-form", "record-hash"] },
    {
      title: ["Hai chữ ký", "The two signatures"],
      checks: [
        "request-signature", "request-fits", "request-digest", "response-signature", "response-bound", "response-fits",
        "response-digest",
      ],
    },
    { title: ["Nhật ký", "The log"], checks: ["checkpoint", "witnesses", "inclusion"] },
    { title: ["Khóa của ai", "Whose keys"], checks: ["directory", "log-key", "consumer-key", "provider-key"] },
  ];
  const STATES = new Map([
    [true, { mark: "✓", style: "good", word: ["Đã chứng minh", "Shown"] }],
    [false, { mark: "✗", style: "bad", word: ["Sai", "Wrong"] }],
    [null, { mark: "?", style: "open", word: ["Chưa thể chứng minh", "Not to be shown"] }],
  ]);
  const VERDICTS = {
    good: {
      title: ["Biên nhận đúng", "The receipt holds"],
      text: ["Mọi điều đã được tính lại và khớp; các khóa thuộc đúng về các bên.", "Everything was recomputed and fits; the keys belong to whom they should."],
    },
    open: {
      title: ["Biên nhận khớp với chính nó", "The receipt fits itself"],
      text: ["Không có điều gì sai. Những điều có dấu ? còn phải tin lời người đưa biên nhận.", "Nothing is wrong. What is marked ? still rests on the word of whoever gave it to you."],
    },
    bad: {
      title: ["Biên nhận không đúng", "The receipt does not hold"],
      text: ["Ít nhất một điều sai. Đừng tin biên nhận này.", "At least one thing is wrong. Do not trust this receipt."],
    },
    unreadable: {
      title: ["Đây không phải biên nhận", "This is no receipt"],
      text: ["Không đọc được tệp đã chọn. Hãy chọn tệp JSON mà nút đã đưa cho bạn.", "The file can not be read. Choose the JSON file that the node gave you."],
    },
    insecure: {
      title: ["Trình duyệt không cho tính chữ ký ở đây", "The browser allows no signature checks here"],
      text: ["Hãy lưu trang này về máy rồi mở tệp đã lưu, hoặc mở qua HTTPS.", "Save this page and open the saved file, or open it over HTTPS."],
    },
  };
  const FACTS = {
    consumer: ["Bên khai thác", "Consumer"],
    resource: ["Dịch vụ", "Service"],
    way: ["Cách sử dụng", "Way of use"],
    outcome: ["Kết quả", "Outcome"],
    purpose: ["Mục đích", "Purpose"],
    agreement: ["Thỏa thuận", "Agreement"],
    at: ["Lúc", "At"],
    node: ["Nút ghi lại", "Recorded by"],
    place: ["Vị trí trong nhật ký", "Place in the log"],
    flags: ["Thiếu khi đó, theo lời biên nhận", "Missing then, says the receipt"],
  };
  const FLAGS = {
    "witnesses-missing": ["bên làm chứng", "witnesses"],
    "timestamps-missing": ["dấu thời gian", "timestamps"],
    "directory-missing": ["danh bạ mới", "a fresh directory"],
  };
  const WORDS = {
    call: ["gọi dịch vụ", "call"],
    table: ["lấy bảng", "table"],
    query: ["truy vấn", "query"],
    event: ["sự kiện", "event"],
    permitted: ["được phép", "permitted"],
    refused: ["bị từ chối", "refused"],
    failed: ["không thành", "failed"],
  };

  /** Nothing a receipt says may hide or turn the text around it. */
  const plain = (value) => String(value).replace(/[\p{C}]/gu, "\ufffd");

  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
    made.append(...children);
    return made;
  };

  /** A text in both languages; the style sheet shows the one chosen. */
  const both = ([vi, en], facts = {}) => {
    const filled = (text) => text.replace(/\{(\w+)\}/g, (hole, name) => (name in facts ? plain(facts[name] ?? "—") : hole));
    return [element("span", { lang: "vi" }, filled(vi)), element("span", { lang: "en" }, filled(en))];
  };

  const showVerdict = (kind) => {
    const { title, text } = VERDICTS[kind];
    const box = document.getElementById("verdict");
    const mark = kind === "good" ? "✓" : kind === "open" ? "?" : "✗";
    box.className = `verdict ${kind === "good" ? "good" : kind === "open" ? "open" : "bad"}`;
    box.dataset.verdict = kind;
    box.replaceChildren(
      element("span", { class: "sign", "aria-hidden": "true" }, mark),
      element("div", {}, element("h2", {}, ...both(title)), element("p", {}, ...both(text))),
    );
    document.getElementById("result").hidden = false;
  };

  /** The moment in the reader's own time, with the offset said. */
  const moment = (text) => ["vi-VN", "en-GB"].map((language) => {
    const time = new Date(text);
    const options = {
      day: "2-digit", month: "2-digit", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
      timeZoneName: "short",
    };
    return Number.isNaN(time.getTime()) ? plain(text) : new Intl.DateTimeFormat(language, options).format(time);
  });

  const factRows = ({ record, place }, flags) => {
    if (record === undefined) return [];
    const told = Array.isArray(flags) && flags.length ? flags.map((flag) => (Object.hasOwn(FLAGS, flag) ? FLAGS[flag] : [String(flag), String(flag)])) : null;
    const values = {
      ...record,
      flags: told && [0, 1].map((language) => told.map((word) => plain(word[language])).join(", ")),
      agreement: record.agreement && `${record.agreement.id} (${record.agreement.version})`,
      place: place && `${place.index + 1n} / ${place.size}`,
    };
    return Object.entries(FACTS)
      .filter(([name]) => values[name])
      .map(([name, label]) => {
        const texts = name === "at" ? moment(record.at) : name === "way" || name === "outcome" ? WORDS[values[name]] : name === "flags" ? values.flags : null;
        const value = texts ? both(texts) : [plain(values[name])];
        return element("div", {}, element("dt", {}, ...both(label)), element("dd", {}, ...value));
      });
  };

  const checkRow = (check) => {
    const { mark, style, word } = STATES.get(check.ok);
    const text = element("div", {}, element("p", { class: "claim" }, ...both(CLAIMS[check.name])));
    if (check.reason) text.append(element("p", { class: "why" }, ...both(REASONS[check.reason], check.facts)));
    return element(
      "li",
      { class: style, "data-check": check.name, "data-ok": String(check.ok) },
      element("span", { class: "mark", "aria-hidden": "true" }, mark),
      element("span", { class: "unseen" }, ...both(word)),
      text,
    );
  };

  const show = (report, synthetic) => {
    const open = report.checks.some((check) => check.ok === null);
    showVerdict(!report.ok ? "bad" : open ? "open" : "good");
    document.getElementById("synthetic").hidden = !synthetic;
    document.getElementById("facts").replaceChildren(...factRows(report, given.receipt?.flags));
    const groups = GROUPS.map(({ title, checks }) => {
      const made = report.checks.filter((check) => checks.includes(check.name));
      const list = element("ul", {}, ...made.map(checkRow));
      return made.length ? element("section", {}, element("h3", {}, ...both(title)), list) : "";
    });
    document.getElementById("checks").replaceChildren(...groups);
  };

  const given = { receipt: undefined, directory: undefined, anchor: undefined, policy: undefined };

  const check = async () => {
    document.getElementById("facts").replaceChildren();
    document.getElementById("checks").replaceChildren();
    if (!globalThis.crypto?.subtle) return showVerdict("insecure");
    if (given.receipt === undefined) return showVerdict("unreadable");
    const report = await verifyReceipt(given.receipt, { directory: given.directory, anchor: given.anchor, policy: given.policy });
    show(report, given.receipt.synthetic === true);
    return report;
  };

  /** A file says itself what it is: an envelope, a key, a policy; anything else should be a receipt. */
  const take = async (files) => {
    for (const file of files) {
      const text = await file.text();
      let content;
      try {
        content = JSON.parse(text);
      } catch {
        content = null;
      }
      const isPolicy = content === null && /^[ \t]*quorum[ \t]/m.test(text);
      const kind = isPolicy ? "policy" : content?.signatures ? "directory" : content?.kty ? "anchor" : "receipt";
      given[kind] = kind === "directory" || kind === "policy" ? text : content !== null && typeof content === "object" ? content : undefined;
      const label = document.querySelector(`[data-given="${kind}"]`);
      label.textContent = plain(file.name);
      label.hidden = false;
    }
    if (given.receipt !== undefined || files.length) await check();
  };

  const choose = (language) => {
    document.documentElement.lang = language;
    for (const button of document.querySelectorAll("[data-language]")) {
      button.setAttribute("aria-pressed", String(button.dataset.language === language));
    }
  };

  const start = () => {
    for (const input of document.querySelectorAll("input[type=file]")) {
      input.addEventListener("change", () => take(input.files));
    }
    for (const button of document.querySelectorAll("[data-language]")) {
      button.addEventListener("click", () => choose(button.dataset.language));
    }
    const over = (is) => document.body.classList.toggle("over", is);
    document.addEventListener("dragover", (event) => { event.preventDefault(); over(true); });
    document.addEventListener("dragleave", (event) => { if (event.relatedTarget === null) over(false); });
    document.addEventListener("drop", (event) => { event.preventDefault(); over(false); take(event.dataTransfer.files); });
  };

  /** On a record's own page: its receipt is fetched and recomputed at the press of a button. */
  const startHere = (place) => {
    const button = place.querySelector("button");
    place.hidden = false;
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        const answer = await fetch(place.dataset.proof, { headers: { Accept: "application/json" } });
        given.receipt = answer.ok ? await answer.json() : undefined;
      } catch {
        given.receipt = undefined;
      }
      await check();
      button.disabled = false;
    });
  };

  if (globalThis.document) {
    const place = document.querySelector("[data-proof]");
    if (place) startHere(place);
    else start();
  }
})();
