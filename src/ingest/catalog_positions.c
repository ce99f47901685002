/*-------------------------------------------------------------------------
 *
 * catalog_positions.c
 *	  The table kafka.subscription_position.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "ingest/catalog.h"
#include "ingest/catalog_sql.h"
#include "utils/array.h"
#include "utils/builtins.h"

static KafkaStatement select_positions = {
	"SELECT topic, partition, next_offset, COALESCE(proof_offset, -1), "
	"COALESCE(proof_timestamp, -1), COALESCE(proof_hash, 0), "
	"COALESCE(proof_leader_epoch, -1) FROM kafka.subscription_position "
	"WHERE subscription = $1 ORDER BY topic COLLATE \"C\", partition",
	1, {TEXTOID}
};
#define INSERT_POSITION \
	"INSERT INTO kafka.subscription_position (subscription, topic, partition, " \
	"next_offset, proof_offset, proof_timestamp, proof_hash, " \
	"proof_leader_epoch) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) "
#define POSITION_TYPES \
	8, {TEXTOID, TEXTOID, INT4OID, INT8OID, INT8OID, INT8OID, INT8OID, INT4OID}

static KafkaStatement insert_position = {
	INSERT_POSITION "ON CONFLICT DO NOTHING", POSITION_TYPES
};
static KafkaStatement upsert_position = {
	INSERT_POSITION "ON CONFLICT (subscription, topic, partition) "
	"DO UPDATE SET next_offset = excluded.next_offset, "
	"proof_offset = excluded.proof_offset, "
	"proof_timestamp = excluded.proof_timestamp, "
	"proof_hash = excluded.proof_hash, "
	"proof_leader_epoch = excluded.proof_leader_epoch", POSITION_TYPES
};
static KafkaStatement delete_positions = {
	"DELETE FROM kafka.subscription_position "
	"WHERE subscription = $1 AND topic = $2",
	2, {TEXTOID, TEXTOID}
};
static KafkaStatement update_positions = {
	"UPDATE kafka.subscription_position p SET next_offset = m.next, "
	"proof_offset = COALESCE(m.proof_offset, p.proof_offset), "
	"proof_timestamp = COALESCE(m.proof_timestamp, p.proof_timestamp), "
	"proof_hash = COALESCE(m.proof_hash, p.proof_hash), "
	"proof_leader_epoch = COALESCE(m.proof_leader_epoch, p.proof_leader_epoch) "
	"FROM unnest($2, $3, $4, $5, $6, $7, $8, $9) AS m (topic, partition, "
	"seen, next, proof_offset, proof_timestamp, proof_hash, "
	"proof_leader_epoch) "
	"WHERE p.subscription = $1 AND p.topic = m.topic "
	"AND p.partition = m.partition AND p.next_offset = m.seen",
	9, {TEXTOID, TEXTARRAYOID, INT4ARRAYOID, INT8ARRAYOID, INT8ARRAYOID,
	INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT4ARRAYOID}
};

static void put_position(KafkaStatement *statement, const KafkaSubscription *subscription,
						 const KafkaPosition *position);
static Datum numbers_array(const int64 *numbers, const bool *nulls, int n);
static Datum small_numbers_array(const int64 *numbers, const bool *nulls,
								 int n);

/*
 * kafka_catalog_positions
 *		Returns the number of stored positions and, ordered by topic (as
 *		strcmp() does) and partition, an array of them.
 */
int
kafka_catalog_positions(const KafkaSubscription *subscription,
						KafkaPosition **positions)
{
	KafkaCatalogScope scope;
	Datum		values[] = {CStringGetTextDatum(subscription->name)};
	int			n;

	kafka_catalog_enter(&scope);
	kafka_catalog_run(&select_positions, values, NULL);
	n = (int) SPI_processed;
	*positions = MemoryContextAlloc(scope.context,
									sizeof(KafkaPosition) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		KafkaPosition *position = &(*positions)[i];

		position->topic = MemoryContextStrdup(scope.context,
											  TextDatumGetCString(kafka_catalog_column(i, 1)));
		position->partition = DatumGetInt32(kafka_catalog_column(i, 2));
		position->next_offset = DatumGetInt64(kafka_catalog_column(i, 3));
		position->proof.offset = DatumGetInt64(kafka_catalog_column(i, 4));
		position->proof.timestamp = DatumGetInt64(kafka_catalog_column(i, 5));
		position->proof.hash = DatumGetInt64(kafka_catalog_column(i, 6));
		position->proof.leader_epoch = DatumGetInt32(kafka_catalog_column(i, 7));
	}
	kafka_catalog_leave(&scope);
	return n;
}

/*
 * kafka_catalog_set_position
 *		Stores the position of a partition, whether it has one or not.
 */
void
kafka_catalog_set_position(const KafkaSubscription *subscription,
						   const KafkaPosition *position)
{
	put_position(&upsert_position, subscription, position);
}

/*
 * kafka_catalog_add_position
 *		Stores a position, if the partition has none.
 */
void
kafka_catalog_add_position(const KafkaSubscription *subscription,
						   const KafkaPosition *position)
{
	put_position(&insert_position, subscription, position);
}

static void
put_position(KafkaStatement *statement, const KafkaSubscription *subscription,
			 const KafkaPosition *position)
{
	const KafkaProof *proof = &position->proof;
	bool		unproven = proof->offset < 0;
	KafkaCatalogScope scope;
	Datum		values[] = {
		CStringGetTextDatum(subscription->name),
		CStringGetTextDatum(position->topic),
		Int32GetDatum(position->partition),
		Int64GetDatum(position->next_offset),
		Int64GetDatum(proof->offset), Int64GetDatum(proof->timestamp),
		Int64GetDatum(proof->hash), Int32GetDatum(proof->leader_epoch)
	};
	bool		nulls[] = {false, false, false, false, unproven, unproven,
	unproven, unproven};

	kafka_catalog_enter(&scope);
	kafka_catalog_run(statement, values, nulls);
	kafka_catalog_leave(&scope);
}

/*
 * kafka_catalog_delete_positions
 *		Forgets the positions of a topic.
 */
void
kafka_catalog_delete_positions(const KafkaSubscription *subscription,
							   const char *topic)
{
	KafkaCatalogScope scope;
	Datum		values[] = {
		CStringGetTextDatum(subscription->name),
		CStringGetTextDatum(topic)
	};

	kafka_catalog_enter(&scope);
	kafka_catalog_run(&delete_positions, values, NULL);
	kafka_catalog_leave(&scope);
}

/*
 * kafka_catalog_move
 *		Moves positions, each only from where it was last seen; false when any
 *		of them was not there.
 */
bool
kafka_catalog_move(const KafkaSubscription *subscription,
				   const KafkaMove *moves, int nmoves)
{
	KafkaCatalogScope scope;
	Datum	   *topics = palloc_array(Datum, nmoves);
	int64	   *numbers = palloc_array(int64, nmoves * 7);
	bool	   *nulls = palloc0_array(bool, nmoves);
	Datum		values[9];
	bool		moved;

	for (int i = 0; i < nmoves; i++)
	{
		const KafkaMove *move = &moves[i];

		topics[i] = CStringGetTextDatum(move->topic);
		numbers[i] = move->partition;
		numbers[nmoves + i] = move->seen;
		numbers[2 * nmoves + i] = move->next;
		numbers[3 * nmoves + i] = move->proof.offset;
		numbers[4 * nmoves + i] = move->proof.timestamp;
		numbers[5 * nmoves + i] = move->proof.hash;
		numbers[6 * nmoves + i] = move->proof.leader_epoch;
		nulls[i] = move->proof.offset < 0;
	}
	values[0] = CStringGetTextDatum(subscription->name);
	values[1] = PointerGetDatum(construct_array(topics, nmoves, TEXTOID, -1,
												false, TYPALIGN_INT));
	values[2] = small_numbers_array(numbers, NULL, nmoves);
	for (int i = 3; i < 5; i++)
		values[i] = numbers_array(numbers + (i - 2) * nmoves, NULL, nmoves);
	for (int i = 5; i < 8; i++)
		values[i] = numbers_array(numbers + (i - 2) * nmoves, nulls, nmoves);
	values[8] = small_numbers_array(numbers + 6 * nmoves, nulls, nmoves);

	kafka_catalog_enter(&scope);
	kafka_catalog_run(&update_positions, values, NULL);
	moved = SPI_processed == nmoves;
	kafka_catalog_leave(&scope);
	return moved;
}

/*
 * Returns numbers as int8[]; nulls may be NULL.
 */
static Datum
numbers_array(const int64 *numbers, const bool *nulls, int n)
{
	Datum	   *values = palloc_array(Datum, n);
	int			lower = 1;

	for (int i = 0; i < n; i++)
		values[i] = Int64GetDatum(numbers[i]);
	return PointerGetDatum(construct_md_array(values, unconstify(bool *, nulls),
											  1, &n, &lower, INT8OID,
											  sizeof(int64), FLOAT8PASSBYVAL,
											  TYPALIGN_DOUBLE));
}

/*
 * The same as int4[].
 */
static Datum
small_numbers_array(const int64 *numbers, const bool *nulls, int n)
{
	Datum	   *values = palloc_array(Datum, n);
	int			lower = 1;

	for (int i = 0; i < n; i++)
		values[i] = Int32GetDatum((int32) numbers[i]);
	return PointerGetDatum(construct_md_array(values, unconstify(bool *, nulls),
											  1, &n, &lower, INT4OID,
											  sizeof(int32), true,
											  TYPALIGN_INT));
}
