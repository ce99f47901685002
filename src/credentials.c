/*-------------------------------------------------------------------------
 *
 * credentials.c
 *	  Whose identity a connection has.
 *
 * NOTES
 *	  A broker may know a client by a password or key, or only by the address
 *	  or the operating system's user of the database server: a broker without
 *	  authentication, a Kerberos ticket, a key in a file, the machine's role in
 *	  a cloud.  The latter are not for everybody who can write SQL, so a role
 *	  that is no superuser must have a secret in its mapping, or have been
 *	  given the database server's identity by a superuser:
 *
 *	  - by password_required 'false' on the server, which freezes it for an
 *		owner who is no superuser, or in a mapping, which counts only where the
 *		server's owner, who can change its address, is a superuser
 *	  - by owning the server, where no identity but the network's is needed
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "options.h"
#include "utils/builtins.h"

typedef enum Identity
{
	IDENTITY_OWN,				/* by a secret of the mapping */
	IDENTITY_NONE,				/* the broker asks for none */
	IDENTITY_SERVER				/* the database server's */
} Identity;

static const char *const client_keys[] =
{"ssl.key.pem", "ssl.key.location", "ssl.keystore.location"};

static const char *const oauth_secrets[] =
{"sasl.oauthbearer.client.secret",
	"sasl.oauthbearer.client.credentials.client.secret",
"sasl.oauthbearer.assertion.private.key.pem"};

static Identity find_identity(const KafkaClientOptions *client);
static void check_password(const KafkaClientOptions *client);
static Identity find_tls_identity(const KafkaClientOptions *client);
static Identity find_oauth_identity(const KafkaClientOptions *client);
static bool is_mapped(const KafkaClientOptions *client,
					  const char *const *names, int n);
static bool is_set(const KafkaClientOptions *client, const char *name,
				   const char *value);

/*
 * kafka_options_check_credentials
 *		Raises an ERROR for a connection with an identity that the user has not
 *		been given.
 *
 * There may be no transaction: a subscription's worker connects without one.
 */
void
kafka_options_check_credentials(const KafkaClientOptions *client)
{
	Identity	identity = find_identity(client);

	if (identity == IDENTITY_OWN || client->lent ||
		client->user_is_superuser ||
		(identity == IDENTITY_NONE && client->owner_is_superuser))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("role \"%s\" needs credentials of its own for server \"%s\"",
					client->user, client->server),
			 identity == IDENTITY_NONE ?
			 errdetail("Without them Kafka would know it by the address of the database server only, which an owner of the server who is not a superuser cannot lend.") :
			 errdetail("The options of the server would have Kafka take it for the database server."),
			 errhint("Put a password or key into the user mapping, or have a superuser set the option \"password_required\" of the server to false.")));
}

static Identity
find_identity(const KafkaClientOptions *client)
{
	const char *protocol = kafka_options_get(client, "security.protocol");

	if (protocol == NULL || pg_strcasecmp(protocol, "plaintext") == 0)
		return IDENTITY_NONE;
	if (pg_strcasecmp(protocol, "ssl") == 0)
		return find_tls_identity(client);
	if (kafka_options_get(client, "sasl.mechanism") == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"sasl.mechanism\" is missing"),
				 errdetail("The option \"security.protocol\" asks for it.")));
	if (is_set(client, "sasl.mechanism", "OAUTHBEARER"))
		return find_oauth_identity(client);
	if (is_set(client, "sasl.mechanism", "GSSAPI"))
		return IDENTITY_SERVER;
	check_password(client);
	return IDENTITY_OWN;
}

/*
 * Raises an ERROR when there is no password, which only a mapping can have.
 */
static void
check_password(const KafkaClientOptions *client)
{
	if (kafka_options_get(client, "sasl.username") != NULL &&
		kafka_options_get(client, "sasl.password") != NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
			 errmsg("no user name and password for server \"%s\"",
					client->server),
			 errhint("Put \"sasl_username\" and \"sasl_password\" into a user mapping for role \"%s\" or PUBLIC.",
					 GetUserNameFromId(client->userid, false))));
}

static Identity
find_tls_identity(const KafkaClientOptions *client)
{
	if (is_mapped(client, client_keys, lengthof(client_keys)))
		return IDENTITY_OWN;
	for (int i = 0; i < lengthof(client_keys); i++)
		if (kafka_options_get(client, client_keys[i]) != NULL)
			return IDENTITY_SERVER;
	return IDENTITY_NONE;
}

static Identity
find_oauth_identity(const KafkaClientOptions *client)
{
	static const char *const unsecured[] = {"sasl.oauthbearer.config"};
	const char *value;
	bool		is_unsecured = false;

	value = kafka_options_get(client, "enable.sasl.oauthbearer.unsecure.jwt");
	if (value != NULL)
		(void) parse_bool(value, &is_unsecured);
	if (is_unsecured && !is_mapped(client, unsecured, 1))
		/* librdkafka would not survive it */
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("no principal for server \"%s\"", client->server),
				 errhint("Put \"sasl_oauthbearer_config\" with \"principal=...\" into a user mapping for role \"%s\" or PUBLIC.",
						 GetUserNameFromId(client->userid, false))));
	if (is_unsecured)
		return IDENTITY_OWN;

	value = kafka_options_get(client,
							  "sasl.oauthbearer.metadata.authentication.type");
	if (value == NULL || pg_strcasecmp(value, "none") == 0)
		return is_mapped(client, oauth_secrets, lengthof(oauth_secrets)) ?
			IDENTITY_OWN : IDENTITY_SERVER;
	return IDENTITY_SERVER;
}

/*
 * Says whether the user mapping sets one of these properties.
 */
static bool
is_mapped(const KafkaClientOptions *client, const char *const *names, int n)
{
	ListCell   *lc;

	foreach(lc, client->properties)
	{
		KafkaProperty *property = lfirst(lc);

		for (int i = 0; i < n; i++)
			if (property->mapped && strcmp(property->name, names[i]) == 0)
				return true;
	}
	return false;
}

static bool
is_set(const KafkaClientOptions *client, const char *name, const char *value)
{
	const char *is = kafka_options_get(client, name);

	return is != NULL && pg_strcasecmp(is, value) == 0;
}
