"""``lienthong demo``: a small country on this machine."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from lienthong.cli.terminal import language, say, show_json
from lienthong.cli.where import DEMO_VARIABLE, demo_folder
from lienthong.demo.country import CITIZEN, ONE_STOP_SYSTEM
from lienthong.demo.run import Demo
from lienthong.demo.staff import STAFF, demo_password
from lienthong.i18n import T
from lienthong.verify import verify_receipt

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    persons: Annotated[int, typer.Option("--persons", min=100, max=200_000, help="Synthetic people.")] = 20_000,
    port: Annotated[int, typer.Option("--port", help="Port of the national portal.")] = 8080,
    data: Annotated[Path | None, typer.Option("--data", help="Folder of the country.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Start, use, print a JSON summary, stop.")] = False,
    stamps: Annotated[bool, typer.Option("--stamps", help="With a time-stamping authority (needs openssl).")] = False,
) -> None:
    """Start five nodes with synthetic people, parcels and firms; Ctrl-C stops everything.

    lienthong demo
    """
    folder = (data or demo_folder()).absolute()
    country = Demo(
        folder, persons, port, language(), lambda receipt: verify_receipt(receipt).ok, quiet=once, stamps=stamps
    )
    # Told to end while it starts: as with Ctrl-C, what was started has to be stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if not once:
            say(T("Liên Thông demo: synthetic people, parcels and firms; the register of units is real."))
        country.start()
        if once:
            show_json(country.summary())
        else:
            _tell(country)
            country.wait()
    except KeyboardInterrupt:
        pass
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C would leave processes behind
        country.stop()
    if not country.succeeded():
        raise typer.Exit(1)


def _tell(country: Demo) -> None:
    """What runs, where to look, three commands to try."""
    print()
    for site in country.sites:
        settings = site.settings
        print(f"  {site.actor.member.name_vi:<40} {settings.public_url}   {settings.peer_url}")
    home = next(site for site in country.sites if site.actor.member.id == "VN/GOV/H24")
    client = f"http://127.0.0.1:{home.settings.client_port}"
    receipts = [r.file for use in country.uses for r in use.receipts]
    here = "" if country.folder == demo_folder() else f"{DEMO_VARIABLE}={country.folder} "
    print()
    say(T("Look at {url}; everything is listed in {file}."), url=country.sites[0].settings.public_url,
        file=str(country.folder / "demo.json"))  # fmt: skip
    say(T("Sign in at {url} as {logins}, with the password {password} (made-up persons)."),
        url=f"{country.sites[0].settings.public_url}/login/staff", logins=", ".join(login for login, _, _ in STAFF),
        password=demo_password(country.folder))  # fmt: skip
    say(T("Three commands to try in another terminal:"))
    print(
        f"  lienthong call --node {client} --client {ONE_STOP_SYSTEM} {CITIZEN.service} "
        """--data '{"personal_number": "031099990001"}'"""
    )
    print("  ", here, 'lienthong query "SELECT gender, count(*) AS n FROM g01.dancu.citizen GROUP BY gender"', sep="")
    print(f"  lienthong verify receipt {receipts[0] if receipts else 'FILE'}")
    say(T("Ctrl-C stops all."))
