/*-------------------------------------------------------------------------
 *
 * error.c
 *	  Kafka's errors as PostgreSQL's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/handle.h"

#define SCRAM_VERSION 0x020601ff	/* can do it with Kafka 4 */

static void hint_acl(rd_kafka_resp_err_t err);
static void hint_authentication(const KafkaHandle *handle);
static const char *certificate_error(const KafkaHandle *handle);
static char *broker_of(const KafkaHandle *handle);

/*
 * kafka_errcode
 *		Sets the SQLSTATE of the error under construction, as errcode() does,
 *		and for what Kafka's ACLs refuse a hint.
 *
 * doc/errors.md has the same table for users.
 */
int
kafka_errcode(rd_kafka_resp_err_t err)
{
	switch (err)
	{
		case RD_KAFKA_RESP_ERR__TRANSPORT:
		case RD_KAFKA_RESP_ERR__RESOLVE:
		case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
		case RD_KAFKA_RESP_ERR__TIMED_OUT:
		case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
		case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
		case RD_KAFKA_RESP_ERR__SSL:
		case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
		case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
		case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
		case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
		case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS:
		case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
		case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
		case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
		case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
			return errcode(ERRCODE_CONNECTION_FAILURE);
		case RD_KAFKA_RESP_ERR__AUTHENTICATION:
		case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
		case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
			return errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION);
		case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
			hint_acl(err);
			return errcode(ERRCODE_INSUFFICIENT_PRIVILEGE);
		case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
		case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
			return errcode(ERRCODE_FDW_TABLE_NOT_FOUND);
		case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
		case RD_KAFKA_RESP_ERR__INVALID_ARG:
		case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
		case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
		case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
		case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
		case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
		case RD_KAFKA_RESP_ERR_INVALID_REPLICA_ASSIGNMENT:
		case RD_KAFKA_RESP_ERR_INVALID_REQUEST:
		case RD_KAFKA_RESP_ERR_INVALID_GROUP_ID:
		case RD_KAFKA_RESP_ERR_INVALID_PRINCIPAL_TYPE:
		case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
			return errcode(ERRCODE_INVALID_PARAMETER_VALUE);
		case RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND:
			return errcode(ERRCODE_UNDEFINED_OBJECT);
		case RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP:
		case RD_KAFKA_RESP_ERR_GROUP_SUBSCRIBED_TO_TOPIC:
		case RD_KAFKA_RESP_ERR_REASSIGNMENT_IN_PROGRESS:
			return errcode(ERRCODE_OBJECT_IN_USE);
		case RD_KAFKA_RESP_ERR_SECURITY_DISABLED:
		case RD_KAFKA_RESP_ERR_TOPIC_DELETION_DISABLED:
		case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
			return errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE);
		case RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED:
		case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
		case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION:
			return errcode(ERRCODE_FEATURE_NOT_SUPPORTED);
		case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS:
			return errcode(ERRCODE_DUPLICATE_OBJECT);
		case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
		case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
			return errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED);
		case RD_KAFKA_RESP_ERR__BAD_MSG:
		case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
		case RD_KAFKA_RESP_ERR_INVALID_MSG:
			return errcode(ERRCODE_DATA_CORRUPTED);
		case RD_KAFKA_RESP_ERR__FENCED:
		case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
		case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
		case RD_KAFKA_RESP_ERR_INVALID_TXN_STATE:
		case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING:
		case RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS:
			return errcode(ERRCODE_TRANSACTION_ROLLBACK);
		default:
			return errcode(ERRCODE_FDW_ERROR);
	}
}

/*
 * Adds which of Kafka's ACLs is missing as hint of the error under
 * construction.
 */
static void
hint_acl(rd_kafka_resp_err_t err)
{
	switch (err)
	{
		case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
			errhint("Kafka's ACLs must allow this client on the topic the operation Read for reading, Write for writing, and for anything else what that is called.");
			break;
		case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
			errhint("Kafka's ACLs must allow this client the operation Read on the consumer group, and Describe or Delete for what these words say.");
			break;
		case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
			errhint("Kafka's ACLs must allow this client the operation on the cluster: Create for topics, Describe and Alter for ACLs, IdempotentWrite for writing with brokers before Kafka 3.0.");
			break;
		default:
			errhint("Kafka's ACLs must allow this client the operations Write and Describe on transactional ids that begin with \"kafka_fdw\", or the option \"transactional_id_prefix\"; delivery \"immediate\" needs none.");
			break;
	}
}

/*
 * kafka_error_is_transient
 *		Says whether the same request may succeed a moment later.
 */
bool
kafka_error_is_transient(rd_kafka_resp_err_t err)
{
	switch (err)
	{
		case RD_KAFKA_RESP_ERR__TRANSPORT:
		case RD_KAFKA_RESP_ERR__RESOLVE:
		case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
		case RD_KAFKA_RESP_ERR__TIMED_OUT:
		case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
		case RD_KAFKA_RESP_ERR__WAIT_CACHE:
		case RD_KAFKA_RESP_ERR__NODE_UPDATE:
		case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
		case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
		case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
		case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
		case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
		case RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE:
		case RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH:
		case RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH:
		case RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE:
		case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
			return true;
		default:
			return false;
	}
}

/*
 * kafka_error_reason
 *		Adds what the client last said of its connections as detail of the
 *		error under construction, and what to do as its hint.
 */
int
kafka_error_reason(const KafkaHandle *handle)
{
	const char *certificate = certificate_error(handle);

	if (handle->error == RD_KAFKA_RESP_ERR__AUTHENTICATION)
		hint_authentication(handle);
	if (handle->error == RD_KAFKA_RESP_ERR__SSL && certificate != NULL)
	{
		errhint("Certificates are trusted by the option \"ssl.ca.pem\" or the operating system's authorities, for the host names in \"bootstrap_servers\" and those that brokers advertise.");
		return errdetail("%s: %s", broker_of(handle), certificate);
	}
	if (handle->reason[0] == '\0')
		return 0;
	return errdetail_internal("%s", handle->reason);
}

static void
hint_authentication(const KafkaHandle *handle)
{
	const char *protocol = kafka_options_get(handle->options,
											 "security.protocol");
	const char *mechanism = kafka_options_get(handle->options,
											  "sasl.mechanism");

	if (protocol == NULL || pg_strncasecmp(protocol, "sasl", 4) != 0)
		errhint("Put certificate and key of a client that the brokers trust into the user mapping: options \"ssl.certificate.pem\" and \"ssl.key.pem\".");
	else if (mechanism != NULL && pg_strncasecmp(mechanism, "SCRAM", 5) == 0 &&
			 rd_kafka_version() < SCRAM_VERSION)
		errhint("SCRAM of librdkafka %s fails with Kafka 4.0 and later, whatever the password. Use librdkafka 2.6.1 or later, or sasl_mechanism \"PLAIN\" over TLS.",
				rd_kafka_version_str());
	else
		errhint("Check the credentials in the user mapping, and \"sasl.mechanism\".");
}

/*
 * Returns what OpenSSL has against a certificate of a broker, or NULL.
 *
 * The numbers are X509_V_ERR_... of OpenSSL, which never change.
 */
static const char *
certificate_error(const KafkaHandle *handle)
{
	switch (__atomic_load_n(&handle->certificate, __ATOMIC_SEQ_CST))
	{
		case 0:
			return NULL;
		case 9:
			return "the broker's certificate is not yet valid";
		case 10:
			return "the broker's certificate has expired";
		case 18:
		case 19:
		case 20:
		case 21:
			return "the broker's certificate is signed by an authority that is not trusted";
		case 23:
			return "the broker's certificate has been revoked";
		case 62:
		case 64:
			return "the broker's certificate is for another host";
		default:
			return "the broker's certificate could not be verified";
	}
}

/*
 * Returns the broker that the client last complained of.
 */
static char *
broker_of(const KafkaHandle *handle)
{
	return pnstrdup(handle->reason, strcspn(handle->reason, " ") -
					(strchr(handle->reason, ' ') != NULL ? 1 : 0));
}
