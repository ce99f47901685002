/*-------------------------------------------------------------------------
 *
 * traffic.c
 *	  How much a client has received, and the end of its connections.
 *
 * NOTES
 *	  librdkafka does not tell how many bytes messages were before they were
 *	  unpacked, but in its statistics, which come at fixed intervals, also while
 *	  nobody reads.  The operating system counts what a socket has received, so
 *	  the sockets are made and closed here.
 *
 *	  Both happen in librdkafka's threads, which use nothing of PostgreSQL; the
 *	  mutex keeps a descriptor from being closed, and so from being another
 *	  file's, while it is asked.
 *
 *	  A consumer's connections are closed before it is destroyed.  librdkafka
 *	  (all versions up to 2.11 at least) disables the queue of its main thread
 *	  before it ends those of the brokers.  If one of them then handles an answer
 *	  to a fetch that says OFFSET_OUT_OF_RANGE, it puts a request to reset the
 *	  offset into the queue, which hands it back to be freed, which is to run it,
 *	  which makes another one with the partition locked, which is handed back,
 *	  run, and waits for its own lock; whoever destroys the consumer waits for
 *	  that thread for ever.  Without connections there is no such answer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "client/traffic.h"

/* more than any client has; others are not counted */
#define MAX_SOCKETS 256

/*
 * ms that threads may need to close their sockets, which they do at once unless
 * there is something wrong with the machine; and until they are told again, for
 * one may have been about to connect.
 */
#define PATIENCE 10000
#define SLICE 10

struct KafkaTraffic
{
	pthread_mutex_t mutex;
	pthread_cond_t none;		/* there is no socket left; monotonic clock */
	bool		ended;			/* there are to be no more */
	int			sockets[MAX_SOCKETS];
	int			nsockets;
	int64		closed;			/* bytes of those that are closed */
};

static void wait_for_none(KafkaTraffic *traffic);
static int64 ask(int fd);

/*
 * kafka_traffic_make
 *		Returns a malloc'd count, or NULL if there is no memory.
 */
KafkaTraffic *
kafka_traffic_make(void)
{
	KafkaTraffic *traffic = calloc(1, sizeof(KafkaTraffic));
	pthread_condattr_t attr;

	if (traffic == NULL)
		return NULL;
	pthread_mutex_init(&traffic->mutex, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&traffic->none, &attr);
	pthread_condattr_destroy(&attr);
	return traffic;
}

/*
 * kafka_traffic_free
 *		Frees the count of a client that is gone; in any thread.
 */
void
kafka_traffic_free(KafkaTraffic *traffic)
{
	if (traffic == NULL)
		return;
	pthread_cond_destroy(&traffic->none);
	pthread_mutex_destroy(&traffic->mutex);
	free(traffic);
}

/*
 * kafka_traffic_end
 *		Ends the client's connections, and waits until its threads have noticed;
 *		there are no new ones.  In any thread.
 *
 * What they have received before, they handle first.
 */
void
kafka_traffic_end(KafkaTraffic *traffic)
{
	pthread_mutex_lock(&traffic->mutex);
	traffic->ended = true;
	for (int ms = 0; traffic->nsockets > 0 && ms < PATIENCE; ms += SLICE)
	{
		for (int i = 0; i < traffic->nsockets; i++)
			shutdown(traffic->sockets[i], SHUT_RDWR);
		wait_for_none(traffic);
	}
	pthread_mutex_unlock(&traffic->mutex);
}

/*
 * Waits for a moment until there is no socket left; with the mutex held.
 */
static void
wait_for_none(KafkaTraffic *traffic)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += SLICE * 1000000L;
	if (until.tv_nsec >= 1000000000L)
	{
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_cond_timedwait(&traffic->none, &traffic->mutex, &until);
}

/*
 * kafka_traffic_socket
 *		In any thread: makes a socket that is counted; none after the end.
 */
int
kafka_traffic_socket(int domain, int type, int protocol, KafkaTraffic *traffic)
{
	int			fd = socket(domain, type | SOCK_CLOEXEC, protocol);

	if (fd < 0)
		return fd;
	pthread_mutex_lock(&traffic->mutex);
	if (traffic->ended)
	{
		close(fd);
		fd = -1;
		errno = ECONNABORTED;
	}
	else if (traffic->nsockets < MAX_SOCKETS)
		traffic->sockets[traffic->nsockets++] = fd;
	pthread_mutex_unlock(&traffic->mutex);
	return fd;
}

/*
 * kafka_traffic_close
 *		In any thread: closes such a socket.
 */
int
kafka_traffic_close(int fd, KafkaTraffic *traffic)
{
	int			rc;

	pthread_mutex_lock(&traffic->mutex);
	for (int i = 0; i < traffic->nsockets; i++)
		if (traffic->sockets[i] == fd)
		{
			traffic->closed += ask(fd);
			traffic->sockets[i] = traffic->sockets[--traffic->nsockets];
			break;
		}
	rc = close(fd);
	if (traffic->nsockets == 0)
		pthread_cond_signal(&traffic->none);
	pthread_mutex_unlock(&traffic->mutex);
	return rc;
}

/*
 * kafka_traffic_connections
 *		Returns how many sockets are open; in any thread.
 */
int
kafka_traffic_connections(KafkaTraffic *traffic)
{
	int			n;

	pthread_mutex_lock(&traffic->mutex);
	n = traffic->nsockets;
	pthread_mutex_unlock(&traffic->mutex);
	return n;
}

/*
 * kafka_traffic_received
 *		Returns how many bytes the client's sockets have received; in any
 *		thread.
 */
int64
kafka_traffic_received(KafkaTraffic *traffic)
{
	int64		received;

	pthread_mutex_lock(&traffic->mutex);
	received = traffic->closed;
	for (int i = 0; i < traffic->nsockets; i++)
		received += ask(traffic->sockets[i]);
	pthread_mutex_unlock(&traffic->mutex);
	return received;
}

/*
 * Asks the system for one socket; 0 where it does not tell.
 */
static int64
ask(int fd)
{
	struct tcp_info info;
	socklen_t	length = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0 ||
		length < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof(info.tcpi_bytes_received))
		return 0;
	return info.tcpi_bytes_received;
}
