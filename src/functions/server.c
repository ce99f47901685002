/*-------------------------------------------------------------------------
 *
 * server.c
 *	  What every SQL function with a server argument does first.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "functions/server.h"
#include "utils/builtins.h"

/*
 * kafka_server_options
 *		Returns the client options of a foreign server for the current user.
 *
 * Raises an ERROR when there is no such server, when it is another wrapper's,
 * or when the user has no USAGE on it.
 */
KafkaClientOptions *
kafka_server_options(const text *server)
{
	char	   *name = text_to_cstring(server);
	ForeignServer *fs = GetForeignServerByName(name, false);
	AclResult	acl = kafka_compat_server_aclcheck(fs->serverid, GetUserId(),
												   ACL_USAGE);

	if (acl != ACLCHECK_OK)
		aclcheck_error(acl, OBJECT_FOREIGN_SERVER, name);
	if (!kafka_options_is_ours(fs->fdwid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("server \"%s\" is not a Kafka server", name)));
	return kafka_options_client(fs->serverid, GetUserId());
}
