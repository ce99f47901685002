# Targets that COPY cannot write as INSERT does: views, row-level security,
# foreign tables; and what a table may have: identity, generated columns, triggers.

use strict;
use warnings;

use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $topic = $broker->create_topic('views', partitions => 2);
my $node = KafkaIngest->start_with($broker);

sub sql { return $node->safe_psql('postgres', @_); }

sub refused
{
	my ($target) = @_;

	return $node->error_from("SELECT kafka.create_subscription('x', 'n_feed', '$target')");
}

# The subscription NAME into NAME has applied all there is.
sub applied
{
	my ($name) = @_;

	sql("SELECT kafka.create_subscription('$name', 'n_feed', '$name', batch_rows => 7)");
	return $node->wait_applied($name);
}

$node->numbers('n', $topic);
$broker->produce($topic, map { "$_,word $_" } 1 .. 20);

# views
sql(q(CREATE TABLE "Base ""table""" (n int PRIMARY KEY, "the word" text, extra int DEFAULT 7);
	CREATE VIEW simple AS SELECT n, "the word" AS word FROM "Base ""table"""));
ok(applied('simple'), 'a view that can be updated is a target');
is(sql('SELECT count(*), min("the word"), sum(extra) FROM "Base ""table"""'),
	'20|word 1|140', 'its table has the rows, and defaults');

sql(q(CREATE TABLE log (n int, who text);
	CREATE VIEW instead AS SELECT n, NULL::text AS word FROM log;
	CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN INSERT INTO public.log VALUES (NEW.n, current_user); RETURN NEW; END $$;
	CREATE TRIGGER instead INSTEAD OF INSERT ON instead FOR EACH ROW EXECUTE FUNCTION instead()));
ok(applied('instead'), 'so is one with an INSTEAD OF trigger');
is(sql('SELECT count(*), count(DISTINCT n) FROM log'), '20|20', 'which gets each row once');

sql(q(CREATE VIEW checked AS SELECT n, who AS word FROM log WHERE n > 1000
		WITH CHECK OPTION));
sql(q(SELECT kafka.create_subscription('checked', 'n_feed', 'checked', batch_rows => 7)));
ok($node->wait_state('checked', 'stopped'), 'a check option is checked');
like($node->error_of('checked'),
	qr/violates check option for view "checked".*offset 0/s, 'and the error names the message');
sql(q(SELECT kafka.drop_subscription('checked')));

sql('CREATE VIEW sums AS SELECT n, count(*) FROM log GROUP BY n');
like(refused('sums'), qr/cannot insert into view "sums"/, 'another view is refused');
sql('CREATE MATERIALIZED VIEW still AS SELECT n FROM log');
like(refused('still'), qr/cannot use "still" as target of a subscription/, 'or materialized');

# row-level security
sql(q(CREATE ROLE app LOGIN; CREATE TABLE guarded (n int, word text, owner text DEFAULT current_user);
	ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
	CREATE POLICY small ON guarded FOR INSERT TO app WITH CHECK (n <= 20 AND owner = 'app');
	GRANT SELECT ON n_feed TO app; GRANT USAGE ON FOREIGN SERVER broker TO app;
	GRANT INSERT ON guarded TO app));
sql(q(SET ROLE app; SELECT kafka.create_subscription('guarded', 'n_feed', 'guarded', batch_rows => 7)));
ok($node->wait_applied('guarded'), 'row-level security lets through');
is(sql('SELECT count(*), min(owner) FROM guarded'), '20|app', 'what its policy lets through');
$broker->produce($topic, '21,too large');
ok($node->wait_state('guarded', 'stopped'), 'another row stops the subscription');
like($node->error_of('guarded'),
	qr/new row violates row-level security policy for table "guarded"/, 'which says so');
is(sql('SELECT count(*) FROM guarded'), 20, 'and does not store it');

# a foreign table
SKIP:
{
	skip 'no file_fdw', 1
	  unless sql(q(SELECT count(*) FROM pg_available_extensions WHERE name = 'file_fdw'));
	sql(q(CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
		CREATE FOREIGN TABLE file (n int) SERVER files OPTIONS (filename '/dev/null')));
	like(refused('file'), qr/cannot insert into foreign table "file"/,
		'a foreign table must take an INSERT');
}
my $copy = $broker->create_topic('views_copy');
sql(qq(CREATE FOREIGN TABLE topic (n int, word text) SERVER broker OPTIONS (topic '$copy', format 'csv')));
ok(applied('topic'), 'one that does is a target');
is(sql('SELECT count(*), count(DISTINCT n) FROM topic'), '21|21', 'and gets each row once');
sql(q(SELECT kafka.drop_subscription('topic')));

# what a table may have
sql(q(CREATE TABLE parent (n bigint PRIMARY KEY);
	INSERT INTO parent SELECT generate_series(1, 100);
	CREATE TABLE rich (
		id int GENERATED ALWAYS AS IDENTITY, n bigint REFERENCES parent, word varchar(20) CHECK (word <> ''),
		twice bigint GENERATED ALWAYS AS (n * 2) STORED, at timestamptz DEFAULT now(),
		_partition int, _offset bigint) PARTITION BY RANGE (n);
	CREATE TABLE rich_low PARTITION OF rich FOR VALUES FROM (1) TO (11);
	CREATE TABLE rich_high PARTITION OF rich FOR VALUES FROM (11) TO (101) PARTITION BY LIST (_partition);
	CREATE TABLE rich_0 PARTITION OF rich_high FOR VALUES IN (0);
	CREATE TABLE rich_1 PARTITION OF rich_high FOR VALUES IN (1);
	CREATE INDEX ON rich (word);
	CREATE TABLE seen (what text, rows bigint);
	CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF TG_LEVEL = 'STATEMENT' THEN
			INSERT INTO public.seen SELECT 'statement', count(*) FROM new_rows;
		ELSE INSERT INTO public.seen VALUES (TG_WHEN, 1); NEW.word = upper(NEW.word); END IF;
		RETURN NEW; END $$;
	CREATE TRIGGER before BEFORE INSERT ON rich FOR EACH ROW EXECUTE FUNCTION seen();
	CREATE TRIGGER after AFTER INSERT ON rich REFERENCING NEW TABLE AS new_rows
		FOR EACH STATEMENT EXECUTE FUNCTION seen()));
ok(applied('rich'), 'a table with all that tables may have');
is( sql('SELECT count(*), count(DISTINCT id), sum(twice), count(at), min(word) FROM rich'),
	'21|21|462|21|TOO LARGE', 'has identity, generated columns, defaults and triggers');
is(sql('SELECT count(*) FROM rich_low'), 10, 'and partitions');
is(sql('SELECT what, sum(rows) FROM seen GROUP BY what ORDER BY what'),
	"BEFORE|21\nstatement|21", 'row and statement triggers see all rows');
$broker->produce($topic, { value => '500,no parent', partition => 0 });
ok($node->wait_state('rich', 'stopped'), 'a row without a partition stops it');
like($node->error_of('rich'), qr/no partition of relation "rich" found for row/, 'and says so');
sql('CREATE TABLE rich_more PARTITION OF rich FOR VALUES FROM (101) TO (1000)');
sql(q(SELECT kafka.enable_subscription('rich')));
ok($node->wait_state('rich', 'stopped'), 'so does one without its foreign key');
like($node->error_of('rich'), qr/violates foreign key constraint/, 'which says so too');
sql(q(INSERT INTO parent VALUES (500); SELECT kafka.enable_subscription('rich')));
ok($node->wait_applied('rich'), 'it goes on when that is there');
is(sql('SELECT count(*), count(DISTINCT (_partition, _offset)) FROM rich'), '22|22', 'each row once');

# nothing is held while it waits for Kafka
ok( $node->wait_true(q(SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'kafka_fdw worker'
		AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL OR xact_start IS NOT NULL))),
	'an idle worker has no transaction');

$node->stop;
done_testing();
