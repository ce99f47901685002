"""What the benchmark starts: programs, a broker, a PostgreSQL cluster.

Every wait is bounded, and everything that was started can be stopped.
"""

import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parent.parent
LIMIT_SECONDS = 600         # of any single command

BROKER_JVM = "-Xms1g -Xmx1g -XX:+UseParallelGC"

POSTGRES_CONF = """
listen_addresses = ''
unix_socket_directories = '{sockets}'
logging_collector = off
shared_buffers = 512MB
max_wal_size = 16GB
min_wal_size = 4GB
checkpoint_timeout = 1h
track_commit_timestamp = on
"""


class Failed(Exception):
    """Something did not work or gave a wrong result; says what, for people."""


def run(command, **kwargs):
    """Run a command to its end and return its stdout."""
    command = [str(word) for word in command]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=LIMIT_SECONDS, **kwargs)
    except subprocess.TimeoutExpired:
        raise Failed(f"{' '.join(command)}: no end after {LIMIT_SECONDS} s")
    except OSError as error:
        raise Failed(f"{command[0]}: {error.strerror}")
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: exit code {done.returncode}\n"
                     f"{done.stdout}{done.stderr}")
    return done.stdout


def raw(program, *args):
    """Run raw_consumer or raw_producer and return what it measured."""
    return json.loads(run([HERE / program, *args]))


class Broker:
    """A private Kafka broker."""

    def __init__(self, directory):
        self.directory = directory
        self.bootstrap = None

    def start(self):
        env = {"KAFKA_FDW_BROKER_JVM": BROKER_JVM, **os.environ}
        out = run([TREE / "tools" / "broker", "start", "--dir", self.directory],
                  env=env)
        self.bootstrap = out.split()[-1]

    def stop(self):
        run([TREE / "tools" / "broker", "stop", "--dir", self.directory])

    def fill(self, topic, **options):
        """Create a topic, with rows if asked for."""
        return raw("raw_producer", *flags(options), self.bootstrap, topic)

    def send_at_once(self, topic, clients, rows):
        """Have so many clients send rows to a topic, each one after the other.

        Every row is acknowledged before the next.  Return the seconds.
        """
        command = [HERE / "raw_producer", "-1", "-e", "-n", str(rows),
                   "-X", "acks=all", "-X", "linger.ms=0",
                   "-X", "enable.idempotence=true", self.bootstrap, topic]
        start = time.monotonic()
        running = [subprocess.Popen(command, stdout=subprocess.DEVNULL)
                   for _ in range(clients)]
        if any([client.wait() for client in running]):
            raise Failed("a raw producer failed")
        return time.monotonic() - start

    def read(self, topic, **options):
        """Read a whole topic, without options at the limit's speed."""
        return raw("raw_consumer", *flags(options), self.bootstrap, topic)

    def length(self, topic):
        """Return the sum of (high - low watermark) of a topic."""
        return raw("raw_consumer", "-e", self.bootstrap, topic)["messages"]


def flags(options):
    words = []
    for name, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            words += [f"-{name}"] if one is True else [f"-{name}", one]
    return words


class Postgres:
    """A private PostgreSQL cluster, reached through a socket."""

    def __init__(self, directory, pg_config):
        self.data = directory / "data"
        self.sockets = directory
        self.log = directory / "log"
        self.bin = pathlib.Path(run([pg_config, "--bindir"]).strip())
        # initdb and postgres refuse to run as root.
        self.prefix = (["runuser", "-u", "postgres", "--"]
                       if os.geteuid() == 0 else [])

    def start(self, preload):
        if self.prefix:
            shutil.chown(self.sockets, "postgres")
        self.command("initdb", "-D", self.data, "-U", "postgres", "-A", "trust",
                     "-E", "UTF8", "--locale=C.UTF-8")
        conf = POSTGRES_CONF.format(sockets=self.sockets)
        if preload:
            conf += f"shared_preload_libraries = '{preload}'\n"
        with open(self.data / "postgresql.conf", "a") as file:
            file.write(conf)
        try:
            self.command("pg_ctl", "start", "-w", "-t", 60, "-D", self.data,
                         "-l", self.log)
        except Failed:
            print(self.log.read_text() if self.log.exists() else "")
            raise

    def stop(self):
        if (self.data / "postmaster.pid").exists():
            self.command("pg_ctl", "stop", "-w", "-t", 60, "-D", self.data,
                         "-m", "fast")

    def command(self, program, *args):
        return run([*self.prefix, self.bin / program, *args],
                   cwd=self.sockets)

    def psql(self, *statements):
        """Run the statements, each on its own, in one new session."""
        words = [self.bin / "psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1",
                 "-h", self.sockets, "-U", "postgres"]
        for statement in statements:
            words += ["-c", statement]
        return run(words, env={**os.environ, "LC_ALL": "C"}).strip()

    def pgbench(self, script, sessions, transactions):
        """Run a script in so many sessions at once; return the seconds."""
        start = time.monotonic()
        out = run([self.bin / "pgbench", "-n", "-h", self.sockets, "-U",
                   "postgres", "-c", str(sessions), "-t", str(transactions),
                   "-f", script, "postgres"],
                  env={**os.environ, "LC_ALL": "C"})
        if f"{sessions * transactions}/{sessions * transactions}" not in out:
            raise Failed(out)
        return time.monotonic() - start

    def timed(self, statement, before=()):
        """Run one statement; return its result and seconds.

        The time is the one that psql sees: without psql's own start, the
        connection, what a session does once at its first statement, and the
        statements before, which run in the same session.
        """
        out = self.psql("\\o /dev/null", "SELECT count(*) FROM pg_class",
                        *before, "\\o", "\\timing on", statement)
        found = re.fullmatch(r"(.*?)\s*^Time: ([0-9.]+) ms.*", out,
                             re.DOTALL | re.MULTILINE)
        if found is None:
            raise Failed(f"{statement}: psql printed no time: {out}")
        return found[1], float(found[2]) / 1000

    def timed_warm(self, statement, times):
        """Run one statement again and again in a session that has run it.

        Return its last result and the median of the seconds.
        """
        words = ["\\o /dev/null", statement, "\\timing on"]
        words += [statement] * times + ["\\o", statement]
        out = self.psql(*words)
        found = re.findall(r"^Time: ([0-9.]+) ms", out, re.MULTILINE)
        if len(found) != times + 1:
            raise Failed(f"{statement}: psql printed {len(found)} times")
        result = re.sub(r"^Time: .*\n?", "", out, flags=re.MULTILINE).strip()
        seconds = [float(ms) / 1000 for ms in found[:times]]
        return result, statistics.median(seconds)
