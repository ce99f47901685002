/*-------------------------------------------------------------------------
 *
 * admin_acls.c
 *	  SQL functions on access control lists.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/admin.h"
#include "funcapi.h"
#include "functions/server.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(kafka_acls);
PG_FUNCTION_INFO_V1(kafka_create_acl);
PG_FUNCTION_INFO_V1(kafka_delete_acl);

static void parse_acl(FunctionCallInfo fcinfo, KafkaAcl *acl);

/*
 * kafka.acls(server text)
 *		Lists all ACLs.
 */
Datum
kafka_acls(PG_FUNCTION_ARGS)
{
	KafkaAdmin *admin;
	KafkaAcl   *acls;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	admin = kafka_admin_open(kafka_server_options(PG_GETARG_TEXT_PP(0)));
	n = kafka_admin_acls(admin, &acls);
	kafka_admin_close(admin);
	if (n == 0)
		ereport(NOTICE,
				(errmsg("Kafka has returned no ACLs"),
				 errdetail("There are none, or the broker has refused to list them: this librdkafka does not tell."),
				 errhint("Listing them needs the operation Describe on the cluster.")));
	for (int i = 0; i < n; i++)
	{
		Datum		values[7];
		bool		nulls[7] = {false};

		values[0] = CStringGetTextDatum(acls[i].resource_type);
		values[1] = CStringGetTextDatum(acls[i].resource_name);
		values[2] = CStringGetTextDatum(acls[i].principal);
		values[3] = CStringGetTextDatum(acls[i].operation);
		values[4] = CStringGetTextDatum(acls[i].permission);
		values[5] = CStringGetTextDatum(acls[i].host);
		values[6] = CStringGetTextDatum(acls[i].pattern_type);
		kafka_put_row(fcinfo, values, nulls);
	}
	return (Datum) 0;
}

/*
 * kafka.create_acl(server text, resource_type text, resource_name text,
 *					principal text, operation text, permission text,
 *					host text, pattern_type text)
 *		Creates an ACL.
 */
Datum
kafka_create_acl(PG_FUNCTION_ARGS)
{
	KafkaAdmin *admin;
	KafkaAcl	acl;

	parse_acl(fcinfo, &acl);
	admin = kafka_admin_open(kafka_server_options(PG_GETARG_TEXT_PP(0)));
	kafka_admin_create_acl(admin, &acl);
	kafka_admin_close(admin);

	PG_RETURN_VOID();
}

/*
 * kafka.delete_acl(same arguments)
 *		Deletes an ACL.
 */
Datum
kafka_delete_acl(PG_FUNCTION_ARGS)
{
	KafkaAdmin *admin;
	KafkaAcl	acl;

	parse_acl(fcinfo, &acl);
	admin = kafka_admin_open(kafka_server_options(PG_GETARG_TEXT_PP(0)));
	if (kafka_admin_delete_acl(admin, &acl) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no such ACL")));
	kafka_admin_close(admin);

	PG_RETURN_VOID();
}

static void
parse_acl(FunctionCallInfo fcinfo, KafkaAcl *acl)
{
	acl->resource_type = text_to_cstring(PG_GETARG_TEXT_PP(1));
	acl->resource_name = text_to_cstring(PG_GETARG_TEXT_PP(2));
	acl->principal = text_to_cstring(PG_GETARG_TEXT_PP(3));
	acl->operation = text_to_cstring(PG_GETARG_TEXT_PP(4));
	acl->permission = text_to_cstring(PG_GETARG_TEXT_PP(5));
	acl->host = text_to_cstring(PG_GETARG_TEXT_PP(6));
	acl->pattern_type = text_to_cstring(PG_GETARG_TEXT_PP(7));
}
