"""The cases of the benchmark: what is measured, and against which limit.

A case has one or more limits and "ours", each a function that does the work
once, checks the result and returns the seconds.  A wrong result is a failure,
whatever its time.
"""

from services import Failed, raw

COLUMNS = """station_id text, is_installed int, is_renting int,
    is_returning int, num_bikes_available int, num_docks_available int,
    last_reported bigint"""
NAMES = ", ".join(column.split()[0] for column in COLUMNS.split(","))

WAIT = "SELECT kafka.wait_for_subscription('b', timeout => '300 s')"


class Data:
    """The rows, in each place that a case wants them; made when asked for."""

    WARM_UP = 20                    # readings of the first topic

    def __init__(self, broker, postgres, directory, rows):
        self.broker = broker
        self.postgres = postgres
        self.rows = rows
        self.csv_file = directory / "rows.csv"
        self.filled = {}            # topic: what raw_producer printed
        self.checksum = None

    def load(self):
        """Write the csv file and load the local table from it."""
        raw("raw_producer", "-n", self.rows, "-f", "csv", "-o", self.csv_file)
        self.postgres.psql(
            f"CREATE TABLE local_rows ({COLUMNS})",
            f"COPY local_rows FROM '{self.csv_file}' (FORMAT csv)",
            "VACUUM (FREEZE, ANALYZE) local_rows")
        count, self.checksum = self.summary("local_rows")
        if count != str(self.rows):
            raise Failed(f"local_rows has {count} rows, not {self.rows}")

    def verify(self, table):
        """Check that a table holds the rows, all of them, in any order."""
        count, checksum = self.summary(table)
        if count != str(self.rows):
            raise Failed(f"{table} has {count} rows, not {self.rows}")
        if checksum != self.checksum:
            raise Failed(f"{table} has the right number of rows, "
                         "but not the right values")

    def summary(self, table):
        """Return the number of rows and a checksum of all their columns."""
        return self.postgres.psql(
            f"SELECT count(*), sum(hash_record_extended(t, 0)) FROM {table} t"
        ).split("|")

    def topic(self, format, partitions=4):
        """Return a topic that holds the rows."""
        topic = f"bench_{format}_{partitions}"
        if topic not in self.filled:
            warm = bool(self.filled)
            self.filled[topic] = self.broker.fill(topic, n=self.rows, f=format,
                                                  p=partitions)
            if not warm:
                self.warm_up(topic)
        return topic

    def warm_up(self, topic):
        """Have the broker compile what it runs when a topic is read.

        It does so on the cores that are measured, and a broker in service has
        done it long ago.  What counts is the number of requests, so they are
        small ones.
        """
        for _ in range(self.WARM_UP):
            self.broker.read(topic, X=["fetch.message.max.bytes=65536"])

    def empty_topic(self, topic):
        """Return a topic without rows."""
        self.broker.fill(topic, n=0)
        return topic

    def foreign_table(self, name, topic, format, more=""):
        self.postgres.psql(
            f"CREATE FOREIGN TABLE {name} ({COLUMNS}) SERVER broker "
            f"OPTIONS (topic '{topic}', format '{format}'{more})")


class Case:
    """One line of the result, or one a limit where there are several."""

    def __init__(self, name, data, target=None):
        self.name = name
        self.data = data
        self.postgres = data.postgres
        self.target = target
        self.limits = {}            # what it is: function

    def prepare(self, with_extension):
        """Make what the measurements need; not timed."""

    def ours(self):
        raise NotImplementedError

    def targets(self, limit):
        """Return the target of the ratio to a limit, or None."""
        return self.target

    def finish(self):
        """Check what can only be checked after all runs."""


class Scan(Case):
    """A query of a foreign table against the raw consumer."""

    def __init__(self, name, data, format, expression, target=None):
        super().__init__(name, data, target)
        self.format = format
        self.expression = expression
        self.table = f"ft_{name}"
        self.limits = {"raw consumer": self.limit}

    def prepare(self, with_extension):
        self.topic = self.data.topic(self.format)
        self.expected = self.postgres.psql(
            f"SELECT {self.expression} FROM local_rows")
        if with_extension:
            self.data.foreign_table(self.table, self.topic, self.format)

    def limit(self):
        read = self.data.broker.read(self.topic)
        filled = self.data.filled[self.topic]
        if any(read[key] != filled[key] for key in ("messages", "bytes")):
            raise Failed(f"the raw consumer read {read}, filled were {filled}")
        return read["seconds"]

    def ours(self):
        result, seconds = self.postgres.timed(
            f"SELECT {self.expression} FROM {self.table}")
        if result != self.expected:
            raise Failed(f"{self.expression} is {result}, "
                         f"but {self.expected} in the local table")
        return seconds


class ScanAll(Scan):
    """A scan that also proves, once, that every value is right."""

    def prepare(self, with_extension):
        super().prepare(with_extension)
        if with_extension:
            self.data.verify(self.table)


class ScanParallel(Scan):
    """A scan by two workers and the leader: for information."""

    def prepare(self, with_extension):
        super().prepare(with_extension)
        if with_extension:
            self.postgres.psql(f"ANALYZE {self.table}")
            plan = self.postgres.psql(f"EXPLAIN {self.query()}")
            if "Parallel Foreign Scan" not in plan:
                raise Failed(f"the plan is not parallel: {plan}")

    def query(self):
        return f"SELECT {self.expression} FROM {self.table}"


class Lookup(Case):
    """A few messages in a session that has asked before, against a bound."""

    TIMES = 100

    def __init__(self, name, data, condition, rows, bound):
        super().__init__(name, data, target=1.0)
        self.condition = condition
        self.rows = rows
        self.table = f"ft_{name}"
        self.limits = {f"{bound * 1000:g} ms": lambda: bound}

    def prepare(self, with_extension):
        topic = self.data.topic("json")
        if with_extension:
            self.postgres.psql(
                f"CREATE FOREIGN TABLE {self.table} (_partition int, "
                f"_offset bigint, {COLUMNS}) SERVER broker "
                f"OPTIONS (topic '{topic}')")

    def ours(self):
        result, seconds = self.postgres.timed_warm(
            f"SELECT * FROM {self.table} {self.condition}", self.TIMES)
        if len(result.splitlines()) != self.rows:
            raise Failed(f"{len(result.splitlines())} rows, not {self.rows}")
        return seconds


class Ingest(Case):
    """A subscription into a heap table against COPY of a file of the rows."""

    more = ""                       # arguments of kafka.create_subscription()

    def __init__(self, name, data, format, target=None, partitions=4):
        super().__init__(name, data, target)
        self.format = format
        self.partitions = partitions
        self.source = f"ft_{name}"
        self.heap = f"t_{name}"
        self.limits = {"COPY FROM csv file": self.limit}

    def prepare(self, with_extension):
        topic = self.data.topic(self.format, self.partitions)
        # An autovacuum in the middle would hit one side or the other.
        self.postgres.psql(f"CREATE TABLE {self.heap} ({COLUMNS}) "
                           "WITH (autovacuum_enabled = off)")
        if with_extension:
            self.data.foreign_table(self.source, topic, self.format)

    def limit(self):
        self.clear()
        _, seconds = self.postgres.timed(
            f"COPY {self.heap} FROM '{self.data.csv_file}' (FORMAT csv)")
        self.verify()
        return seconds

    def verify(self):
        self.data.verify(self.heap)

    def ours(self):
        create = (f"SELECT kafka.create_subscription('b', "
                  f"source => '{self.source}', target => '{self.heap}'"
                  f"{self.more})")
        self.clear()
        try:
            caught_up, seconds = self.postgres.timed(WAIT, before=[create])
            if caught_up != "t":
                raise Failed("the subscription did not catch up: "
                             + self.state())
            self.verify()
        except Failed:
            self.drop(missing_ok=True)
            raise
        self.drop()
        return seconds

    def clear(self):
        self.postgres.psql(f"TRUNCATE {self.heap}", "CHECKPOINT")

    def state(self):
        return self.postgres.psql("SELECT * FROM kafka.stat_subscription")

    def drop(self, missing_ok=False):
        try:
            self.postgres.psql("SELECT kafka.drop_subscription('b')")
        except Failed:
            if not missing_ok:
                raise


class IngestKeyed(Ingest):
    """The same, with a primary key of partition and offset on both sides."""

    def prepare(self, with_extension):
        topic = self.data.topic(self.format)
        self.file = self.postgres.sockets / "keyed.csv"
        columns = f"{COLUMNS}, _partition int, _offset bigint"
        self.postgres.psql(
            f"COPY (SELECT {NAMES}, (n - 1) % 4, (n - 1) / 4 FROM "
            f"(SELECT {NAMES}, row_number() OVER () AS n FROM local_rows) "
            f"AS r) TO '{self.file}' (FORMAT csv)",
            f"CREATE TABLE {self.heap} ({columns}, "
            "PRIMARY KEY (_partition, _offset)) "
            "WITH (autovacuum_enabled = off)")
        if with_extension:
            self.postgres.psql(
                f"CREATE FOREIGN TABLE {self.source} ({columns}) SERVER broker "
                f"OPTIONS (topic '{topic}', format '{self.format}')")

    def limit(self):
        self.clear()
        _, seconds = self.postgres.timed(
            f"COPY {self.heap} FROM '{self.file}' (FORMAT csv)")
        self.verify()
        return seconds

    def verify(self):
        self.data.verify(f"(SELECT {NAMES} FROM {self.heap})")


class Upsert(Ingest):
    """A subscription that keeps the last row of each key, against a statement
    that does the same from a local table: at once, and in batches of the same
    size."""

    keys = 100000
    more = ", mode => 'upsert'"

    def __init__(self, name, data, target=None):
        super().__init__(name, data, "csv", target)
        self.limits = {"one INSERT ... ON CONFLICT": self.at_once,
                       "INSERT ... ON CONFLICT, 10000 each": self.in_batches}

    def prepare(self, with_extension):
        self.postgres.psql(
            "CREATE TABLE keyed_rows AS SELECT row_number() OVER () AS n, "
            f"abs(hashint8(row_number() OVER ()) % {self.keys})::text AS id, "
            f"{NAMES} FROM local_rows",
            "ALTER TABLE keyed_rows ADD PRIMARY KEY (n)",
            "VACUUM (FREEZE, ANALYZE) keyed_rows",
            f"CREATE TABLE {self.heap} (id text PRIMARY KEY, {COLUMNS}) "
            "WITH (autovacuum_enabled = off)",
            "CREATE PROCEDURE upsert_rows(batch bigint) LANGUAGE plpgsql AS "
            "$$ DECLARE first bigint := 1; BEGIN "
            "WHILE first <= (SELECT max(n) FROM keyed_rows) LOOP "
            f"INSERT INTO {self.heap} SELECT DISTINCT ON (id) id, {NAMES} "
            "FROM keyed_rows WHERE n >= first AND n < first + batch "
            "ORDER BY id, n DESC ON CONFLICT (id) DO UPDATE SET "
            + ", ".join(f"{name} = excluded.{name}"
                        for name in NAMES.split(", "))
            + "; COMMIT; first := first + batch; END LOOP; END $$")
        if with_extension:
            topic = self.data.empty_topic(self.name)
            self.postgres.psql(
                f"CREATE FOREIGN TABLE {self.source} "
                f"(id text OPTIONS (metadata 'key'), {COLUMNS}) SERVER broker "
                f"OPTIONS (topic '{topic}', format 'csv', "
                "delivery 'immediate')",
                f"INSERT INTO {self.source} SELECT id, {NAMES} "
                "FROM keyed_rows ORDER BY n")
        self.expected = self.postgres.psql(
            "SELECT count(*), sum(hash_record_extended(t, 0)) FROM "
            f"(SELECT DISTINCT ON (id) id, {NAMES} FROM keyed_rows "
            "ORDER BY id, n DESC) AS t")

    def at_once(self):
        return self.call(10 ** 9)

    def in_batches(self):
        return self.call(10000)

    def call(self, batch):
        self.clear()
        _, seconds = self.postgres.timed(f"CALL upsert_rows({batch})")
        self.verify()
        return seconds

    def verify(self):
        found = self.postgres.psql(
            "SELECT count(*), sum(hash_record_extended(t, 0)) "
            f"FROM {self.heap} AS t")
        if found != self.expected:
            raise Failed(f"{self.heap} has {found}, not {self.expected}")


class Latency(Case):
    """The time from a message's timestamp to the commit that shows it, of 99 in
    100, at 100,000 messages a second for ten seconds, against a bound."""

    BOUND = 0.25
    SECONDS = 10
    STEP = 5000                     # messages each 1/20 second

    def __init__(self, name, data):
        super().__init__(name, data, target=1.0)
        self.limits = {f"{self.BOUND * 1000:g} ms": lambda: self.BOUND}

    def prepare(self, with_extension):
        topic = self.data.empty_topic(self.name)
        columns = "payload text, _timestamp timestamptz"
        if with_extension:
            self.postgres.psql(
                f"CREATE FOREIGN TABLE ft_{self.name} ({columns}) "
                f"SERVER broker OPTIONS (topic '{topic}', format 'csv', "
                "delivery 'immediate')",
                f"CREATE TABLE t_{self.name} ({columns}) "
                "WITH (autovacuum_enabled = off)",
                "CREATE PROCEDURE produce_evenly() LANGUAGE plpgsql AS "
                "$$ DECLARE start timestamptz := clock_timestamp(); BEGIN "
                f"FOR i IN 1 .. {self.SECONDS * 20} LOOP "
                f"INSERT INTO ft_{self.name} (payload) SELECT repeat('x', 100)"
                f" FROM generate_series(1, {self.STEP}); COMMIT; "
                "PERFORM pg_sleep(greatest(0, extract(epoch FROM start "
                "+ i * interval '50 ms' - clock_timestamp()))); "
                "END LOOP; END $$")

    def ours(self):
        self.postgres.psql(
            f"TRUNCATE t_{self.name}",
            f"SELECT kafka.create_subscription('b', source => "
            f"'ft_{self.name}', target => 't_{self.name}', start => 'latest')",
            WAIT)
        _, seconds = self.postgres.timed("CALL produce_evenly()")
        if seconds > self.SECONDS * 1.05:
            raise Failed(f"{self.SECONDS} s of messages took {seconds:.1f} s")
        rows, latency = self.postgres.psql(
            WAIT, "SELECT count(*), percentile_cont(0.99) WITHIN GROUP (ORDER "
            "BY extract(epoch FROM pg_xact_commit_timestamp(xmin) "
            f"- _timestamp)) FROM t_{self.name}",
            "SELECT kafka.drop_subscription('b')").split("\n")[1].split("|")
        if int(rows) != self.SECONDS * 20 * self.STEP:
            raise Failed(f"{rows} messages arrived")
        return float(latency)


class Produce(Case):
    """INSERT … SELECT into a topic against COPY … TO PROGRAM kcat."""

    def __init__(self, name, data, format, copy, target=None):
        super().__init__(name, data, target)
        self.format = format
        self.copy = copy            # what comes before TO PROGRAM; options
        self.table = f"ft_{name}"
        self.topics = {}            # topic: sets of rows that it must hold
        self.limits = {
            "COPY TO kcat, idempotent": lambda: self.limit("true"),
            "COPY TO kcat, not idempotent": lambda: self.limit("false")}

    def prepare(self, with_extension):
        self.kcat_topic = self.add_topic(f"{self.name}_kcat")
        if with_extension:
            self.our_topic = self.add_topic(f"{self.name}_ours")
            self.data.foreign_table(self.table, self.our_topic, self.format,
                                    ", delivery 'immediate'")

    def add_topic(self, topic):
        self.topics[self.data.empty_topic(topic)] = 0
        return topic

    def limit(self, idempotent):
        source, options = self.copy
        program = (f"kcat -P -b {self.data.broker.bootstrap} "
                   f"-t {self.kcat_topic} -X acks=all "
                   f"-X enable.idempotence={idempotent}")
        return self.produce(self.kcat_topic, f"COPY ({source}) "
                            f"TO PROGRAM '{program}' {options}")

    def ours(self):
        return self.produce(self.our_topic,
                            f"INSERT INTO {self.table} ({NAMES}) "
                            f"SELECT {NAMES} FROM local_rows")

    def produce(self, topic, statement):
        """Run the statement, check the topic's length, return the seconds."""
        _, seconds = self.postgres.timed(statement)
        self.topics[topic] += 1
        expected = self.topics[topic] * self.data.rows
        length = self.data.broker.length(topic)
        if length != expected:
            raise Failed(f"{topic} holds {length} messages, not {expected}")
        return seconds

    def finish(self):
        """Read the topics back: csv has one spelling, so its bytes count."""
        file_bytes = self.data.csv_file.stat().st_size - self.data.rows
        for topic, sets in self.topics.items():
            read = self.data.broker.read(topic)
            if read["messages"] != sets * self.data.rows:
                raise Failed(f"{topic}: {read['messages']} messages came back")
            if self.format == "csv" and read["bytes"] != sets * file_bytes:
                raise Failed(f"{topic}: {read['bytes']} bytes came back, "
                             f"not {sets * file_bytes}")


class Commit(Case):
    """INSERT … SELECT with delivery commit against delivery immediate."""

    def __init__(self, name, data, target=None):
        super().__init__(name, data, target)
        self.sets = {"immediate": 0, "commit": 0}
        self.limits = {"delivery immediate": lambda: self.insert("immediate")}

    def prepare(self, with_extension):
        if not with_extension:
            self.limits = {}
        for delivery in self.sets:
            self.data.empty_topic(f"{self.name}_{delivery}")
            if with_extension:
                self.data.foreign_table(
                    f"ft_{self.name}_{delivery}", f"{self.name}_{delivery}",
                    "csv", f", delivery '{delivery}'")

    def ours(self):
        return self.insert("commit")

    def insert(self, delivery):
        _, seconds = self.postgres.timed(
            f"INSERT INTO ft_{self.name}_{delivery} SELECT * FROM local_rows")
        self.sets[delivery] += 1
        return seconds

    def finish(self):
        for delivery, sets in self.sets.items():
            read = self.data.broker.read(f"{self.name}_{delivery}")
            if read["messages"] != sets * self.data.rows:
                raise Failed(f"{delivery}: {read['messages']} messages came "
                             f"back, not {sets * self.data.rows}")


class CommitLatency(Case):
    """What messages add to COMMIT, median of many transactions."""

    TRANSACTIONS = 1000
    PROCEDURE = """CREATE OR REPLACE PROCEDURE bench_commit(
        topic text, messages int, transactions int, INOUT median float8)
        LANGUAGE plpgsql AS $$
        DECLARE
            start timestamptz;
            took float8[] := '{}';
        BEGIN
            FOR t IN 1 .. transactions LOOP
                PERFORM kafka.produce('broker', topic, 'payload', partition => m % 4)
                FROM generate_series(1, messages) m;
                start := clock_timestamp();
                COMMIT;
                took := took || extract(epoch FROM clock_timestamp() - start)::float8;
            END LOOP;
            SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x)
            INTO median FROM unnest(took) x;
        END $$"""

    def __init__(self, name, data, messages, transactions, limits, target):
        super().__init__(name, data, target)
        self.messages = messages
        self.transactions = transactions
        self.raw_topics = 0
        self.limits = {what: getattr(self, function)
                       for what, function in limits.items()}

    def prepare(self, with_extension):
        self.topic = f"bench_{self.name}"
        self.data.empty_topic(self.topic)
        if with_extension:
            self.postgres.psql(self.PROCEDURE)

    def raw_client(self):
        self.raw_topics += 1
        return self.data.broker.fill(
            f"{self.topic}_raw{self.raw_topics}", **{"1": True, "n": self.TRANSACTIONS,
                                    "X": ["acks=all", "linger.ms=0",
                                          "enable.idempotence=true"]})["median"]

    def fifty_ms(self):
        return 0.05

    def ours(self):
        return self.commit(self.messages) - self.commit(0)

    def commit(self, messages):
        return float(self.postgres.psql(
            f"CALL bench_commit('{self.topic}', {messages}, "
            f"{self.transactions}, NULL)"))


class Sessions(Case):
    """Transactions over one session and over eight.

    Ours is the time of all sessions with as many transactions each: 2.0 of
    eight sessions is four times as many a second as one.  What the machine
    lets any client scale to is said by raw clients.
    """

    def __init__(self, name, data, sessions, messages, transactions, limits,
                 target):
        super().__init__(name, data, target)
        self.sessions = sessions
        self.messages = messages
        self.transactions = transactions
        self.topic = f"bench_{name}"
        self.limits = {what: getattr(self, function)
                       for what, function in limits.items()}

    def targets(self, limit):
        return None if "raw" in limit else self.target

    def prepare(self, with_extension):
        self.data.empty_topic(self.topic)
        self.script = self.data.csv_file.parent / f"{self.name}.sql"
        self.script.write_text(
            f"SELECT kafka.produce('broker', '{self.topic}', 'payload'"
            + (", partition => m % 4) FROM generate_series(1, "
               f"{self.messages}) m" if self.messages > 1 else ")") + ";\n")
        if not with_extension:
            self.limits = {}

    def ten_seconds(self):
        return 10.0

    def one_session(self):
        return self.run_sessions(1)

    def raw_clients(self):
        return self.data.broker.send_at_once(self.topic, self.sessions,
                                             self.transactions)

    def ours(self):
        return self.run_sessions(self.sessions)

    def run_sessions(self, sessions):
        return self.postgres.pgbench(self.script, sessions, self.transactions)


class RawClients(Case):
    """Eight raw clients against one: what the machine lets anyone scale to."""

    ROWS = 1000

    def __init__(self, name, data):
        super().__init__(name, data)
        self.topic = f"bench_{name}"
        self.limits = {"one raw client": lambda: self.send(1)}

    def prepare(self, with_extension):
        self.data.empty_topic(self.topic)

    def ours(self):
        return self.send(8)

    def send(self, clients):
        return self.data.broker.send_at_once(self.topic, clients, self.ROWS)


def all_cases(data):
    csv = (f"SELECT {NAMES} FROM local_rows", "(FORMAT csv)")
    json = ("SELECT row_to_json(r) FROM local_rows r", "")
    return [
        Scan("scan_count", data, "json", "count(*)", target=1.3),
        Scan("scan_count_csv", data, "csv", "count(*)", target=1.3),
        Scan("scan_sum", data, "json", "sum(num_bikes_available)", target=2.5),
        ScanAll("scan_all", data, "json", f"sum(num_nonnulls({NAMES}))",
                target=4.0),
        ScanParallel("parallel_count", data, "json", "count(*)"),
        ScanParallel("parallel_all", data, "json",
                     f"sum(num_nonnulls({NAMES}))"),
        Lookup("limit_10", data, "LIMIT 10", rows=10, bound=0.005),
        Lookup("one_offset", data, "WHERE _partition = 2 AND _offset = 123456",
               rows=1, bound=0.005),
        Ingest("ingest_csv", data, "csv", target=1.1),
        Ingest("ingest_json", data, "json", target=2.0),
        Ingest("ingest_partitions", data, "csv", partitions=64),
        IngestKeyed("ingest_csv_key", data, "csv", target=1.2),
        Upsert("ingest_upsert", data, target=2.0),
        Latency("ingest_latency", data),
        Produce("produce_csv", data, "csv", csv, target=1.2),
        Produce("produce_json", data, "json", json, target=0.7),
        Commit("commit_csv", data, target=1.4),
        CommitLatency("commit_one", data, 1, 1000,
                {"raw client, acknowledged": "raw_client"}, target=3.0),
        CommitLatency("commit_many", data, 4, 100,
                {"50 ms": "fifty_ms"}, target=1.0),
        Sessions("sessions_one", data, 1, 1, 1000,
                 {"10 s for 1,000": "ten_seconds",
                  "raw client": "raw_clients"}, target=1.0),
        RawClients("raw_eight", data),
        Sessions("sessions_eight", data, 8, 1, 1000,
                 {"one session": "one_session",
                  "eight raw clients": "raw_clients"}, target=2.0),
        Sessions("sessions_many", data, 8, 4, 100,
                 {"one session": "one_session"}, target=None)]
