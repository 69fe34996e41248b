"""``python -m services``: the embedded product, and the commands that an operator needs around it."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

try:
    import typer
except ModuleNotFoundError as missing:
    sys.exit(f"{missing.name} is not installed for this Python. Run: make setup. Then: .venv/bin/python -m services")

from services import secrets as secret_files
from services.documents.cli import documents
from services.pipeline.cli import pipeline
from services.pipeline.follow_up import follow_up
from shared import telemetry
from shared.listeners import EXIT_IN_USE, PortTaken
from shared.postgres import SERVICES
from shared.settings import EXIT_UNSAFE, LOG_LEVELS, UnsafeSettings

cli = typer.Typer(
    name="afterglow",
    help="Afterglow: care coordination around ketamine infusions. Without a command it runs all three services in this process.",
    epilog="Examples:  .venv/bin/python -m services --folder ./data --port 8000   |   .venv/bin/python -m services demo --once",
    no_args_is_help=False,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
)
cli.add_typer(pipeline)
cli.add_typer(follow_up)
cli.add_typer(documents)
Folder = Annotated[Path, typer.Option(help="Data folder: database, secrets and, in a demo, messages.", envvar="AFTERGLOW_FOLDER")]


@cli.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    folder: Folder = Path("afterglow-data"),
    port: Annotated[int, typer.Option(help="Public port on 127.0.0.1; put a TLS gateway in front.")] = 8000,
    ops_port: Annotated[int, typer.Option(help="Port on 127.0.0.1 for health and metrics.")] = 9000,
) -> None:
    """Run all three services on one data folder."""
    if context.invoked_subcommand is None:
        raise typer.Exit(start(folder, port, ops_port))


def start(folder: Path, port: int, ops_port: int) -> int:
    """Run the embedded product; returns its exit code."""
    from services import embedded

    env = os.environ.get("AFTERGLOW_ENV", "production")
    level = os.environ.get("AFTERGLOW_LOG_LEVEL", "INFO")
    telemetry.configure_logs(level=level if level in LOG_LEVELS else "INFO")  # the settings refuse another one
    embedding = embedded.Embedding(
        folder=folder.resolve(),
        port=port,
        ops_port=ops_port,
        env=env,
        public_url=os.environ.get("AFTERGLOW_PUBLIC_URL", ""),
        clock=os.environ.get("AFTERGLOW_CLOCK", ""),
    )
    try:
        return asyncio.run(embedded.run(embedding, _say_where))
    except embedded.FolderInUse:
        print(f"Another Afterglow runs on {folder}. Stop it first, or choose another --folder.", file=sys.stderr)
        return EXIT_IN_USE
    except PortTaken as taken:
        print(f"{taken}. --port and --ops-port choose others; with make: PORT=8001 OPS_PORT=9001.", file=sys.stderr)
        return EXIT_IN_USE
    except UnsafeSettings as refused:
        print(f"Refused to start: {refused}", file=sys.stderr)
        return EXIT_UNSAFE


def _say_where(url: str) -> None:
    """For a person at the terminal; the log has its own line."""
    print(f"Afterglow listens on {url}; a TLS gateway stands in front of it for anybody else. Ctrl-C ends it.", file=sys.stderr, flush=True)


@cli.command()
def secrets(
    folder: Annotated[Path, typer.Option(help="Where the files go; existing ones stay.")] = Path("deploy/secrets"),
    containers: Annotated[bool, typer.Option("--containers", help="For the compose stack, with its gateway's authority.")] = False,
) -> None:
    """Make the secrets of an installation, one file each, readable by their owner only."""
    made = (secret_files.generate_for_containers if containers else secret_files.generate)(folder)
    print(f"{len(made)} new files in {folder}" if made else f"Nothing to do: all secrets are in {folder}")


@cli.command()
def migrate(
    host: Annotated[str, typer.Option(help="PostgreSQL server.")] = "postgres",
    port: Annotated[int, typer.Option(help="Its port.")] = 5432,
    folder: Annotated[Path, typer.Option(help="Folder of the secrets.")] = Path("/run/secrets"),
) -> None:
    """Bring roles, databases and schemas of all services up to date; services wait for it at their start."""
    from services.installation import migrate_all

    telemetry.configure_logs()
    try:
        asyncio.run(migrate_all(host, port, folder))
    except UnsafeSettings as refused:
        print(f"Refused to start. {refused}", file=sys.stderr)
        raise typer.Exit(EXIT_UNSAFE) from None


@cli.command()
def restored(
    service: Annotated[list[str] | None, typer.Option(help="A service whose database was restored; all, if none is named.")] = None,
    host: Annotated[str, typer.Option(help="PostgreSQL server.")] = "postgres",
    port: Annotated[int, typer.Option(help="Its port.")] = 5432,
    folder: Annotated[Path, typer.Option(help="Folder of the secrets.")] = Path("/run/secrets"),
) -> None:
    """After a restore and before the services start: lift all versions above those that were told and are lost."""
    from services.restored import TOLD, lift_all

    if unknown := set(service or ()) - set(SERVICES):
        raise typer.BadParameter(f"no service is called {', '.join(sorted(unknown))}")
    telemetry.configure_logs()
    asyncio.run(lift_all(host, port, folder, [one for one in TOLD if not service or one in service]))


@cli.command("kafka-acls")
def kafka_acls() -> None:
    """Print every right of every Kafka principal, as deploy/kafka/acls.txt holds them."""
    from services.api_documents import built
    from services.kafka_access import grants

    print(*grants(built()), sep="\n")


@cli.command("kafka-topics")
def kafka_topics() -> None:
    """Print every topic with its settings, as deploy/kafka/topics.txt holds them."""
    from services.kafka_access import topics

    print(*topics(), sep="\n")


@cli.command("api-documents")
def api_documents(folder: Annotated[Path, typer.Option(help="Where the documents go.")] = Path("docs/api")) -> None:
    """Write the OpenAPI documents of the services and the AsyncAPI document of the topics."""
    from services import api_documents as documents

    documents.write(folder)
    print(f"Written to {folder}")


@cli.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="Leave after the closing table; exit 1 when a promise is broken.")] = False,
    failpoint: Annotated[
        str, typer.Option(help="Kill the product there once: relay.after_publish, inbox.before_commit=kill@5, or all.")
    ] = "",
    port: Annotated[int, typer.Option(help="Public port on 127.0.0.1.")] = 8000,
    ops_port: Annotated[int, typer.Option(help="Port for health and metrics.")] = 9000,
    folder: Annotated[Path | None, typer.Option(help="Data folder to keep; a temporary one otherwise.")] = None,
    kafka: Annotated[bool, typer.Option("--kafka", help="On the compose stack that is up; for: make demo KAFKA=1.")] = False,
    kill: Annotated[str, typer.Option(help="With --kafka: the part of which one container is killed at midday.")] = "",
) -> None:
    """Play one clinic day through the public APIs, on an accelerated clock, with a live view."""
    from services.demo.embedded_product import failpoints
    from services.demo.run import run_embedded, run_on_compose

    try:
        failpoints(failpoint)
    except ValueError as unknown:
        raise typer.BadParameter(f"{unknown}; all is every one of the pipeline's, one after the other") from unknown
    if kafka and failpoint:
        raise typer.BadParameter(
            "failpoints are for the embedded product; a container of the stack is killed with --kill (make demo: KILL=)"
        )
    if kill and not kafka:
        raise typer.BadParameter("a container can be killed on the compose stack only: --kafka (make demo: KAFKA=1)")
    if kafka:
        raise typer.Exit(run_on_compose(once=once, kill=kill))
    raise typer.Exit(run_embedded(once=once, failpoint=failpoint, port=port, ops_port=ops_port, folder=folder))


def main() -> None:
    """Entry point of the ``afterglow`` script."""
    cli()


if __name__ == "__main__":
    main()
