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
	"SELECT topic, partition, next_offset FROM kafka.subscription_position "
	"WHERE subscription = $1 ORDER BY topic COLLATE \"C\", partition",
	1, {TEXTOID}
};
static KafkaStatement insert_position = {
	"INSERT INTO kafka.subscription_position "
	"(subscription, topic, partition, next_offset) VALUES ($1, $2, $3, $4)",
	4, {TEXTOID, TEXTOID, INT4OID, INT8OID}
};
static KafkaStatement update_positions = {
	"UPDATE kafka.subscription_position p SET next_offset = m.next "
	"FROM unnest($2, $3, $4, $5) AS m (topic, partition, seen, next) "
	"WHERE p.subscription = $1 AND p.topic = m.topic "
	"AND p.partition = m.partition AND p.next_offset = m.seen",
	5, {TEXTOID, TEXTARRAYOID, INT4ARRAYOID, INT8ARRAYOID, INT8ARRAYOID}
};

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
	}
	kafka_catalog_leave(&scope);
	return n;
}

void
kafka_catalog_add_position(const KafkaSubscription *subscription,
						   const KafkaPosition *position)
{
	KafkaCatalogScope scope;
	Datum		values[] = {
		CStringGetTextDatum(subscription->name),
		CStringGetTextDatum(position->topic),
		Int32GetDatum(position->partition),
		Int64GetDatum(position->next_offset)
	};

	kafka_catalog_enter(&scope);
	kafka_catalog_run(&insert_position, values, NULL);
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
	Datum	   *partitions = palloc_array(Datum, nmoves);
	Datum	   *seen = palloc_array(Datum, nmoves);
	Datum	   *next = palloc_array(Datum, nmoves);
	Datum		values[5];
	bool		moved;

	for (int i = 0; i < nmoves; i++)
	{
		topics[i] = CStringGetTextDatum(moves[i].topic);
		partitions[i] = Int32GetDatum(moves[i].partition);
		seen[i] = Int64GetDatum(moves[i].seen);
		next[i] = Int64GetDatum(moves[i].next);
	}
	values[0] = CStringGetTextDatum(subscription->name);
	values[1] = PointerGetDatum(construct_array(topics, nmoves, TEXTOID, -1,
												false, TYPALIGN_INT));
	values[2] = PointerGetDatum(construct_array(partitions, nmoves, INT4OID,
												sizeof(int32), true,
												TYPALIGN_INT));
	values[3] = PointerGetDatum(construct_array(seen, nmoves, INT8OID,
												sizeof(int64),
												FLOAT8PASSBYVAL,
												TYPALIGN_DOUBLE));
	values[4] = PointerGetDatum(construct_array(next, nmoves, INT8OID,
												sizeof(int64),
												FLOAT8PASSBYVAL,
												TYPALIGN_DOUBLE));

	kafka_catalog_enter(&scope);
	kafka_catalog_run(&update_positions, values, NULL);
	moved = SPI_processed == nmoves;
	kafka_catalog_leave(&scope);
	return moved;
}
