/*-------------------------------------------------------------------------
 *
 * kafka_hooks.c
 *		What only another extension does to a backend, for tests.
 *
 * NOTES
 *	at_event(event, sql) has the next event of a transaction, "pre-commit" or
 *	"pre-prepare", run a statement in a callback as extensions register them.
 *	Callbacks are called in the reverse order in which the libraries were
 *	loaded.
 *
 *	forked(sql) runs a statement in a process that is forked off the backend,
 *	and returns its first value or the message of its error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(at_event);
PG_FUNCTION_INFO_V1(forked);

/* what is to be run, and when; NULL: nothing */
static char *event_name = NULL;
static char *event_sql = NULL;

void		_PG_init(void);
static void on_transaction(XactEvent event, void *arg);
static char *run(const char *sql);
static void run_child(const char *sql, int fd);

void
_PG_init(void)
{
	RegisterXactCallback(on_transaction, NULL);
}

Datum
at_event(PG_FUNCTION_ARGS)
{
	event_name = MemoryContextStrdup(TopMemoryContext,
									 text_to_cstring(PG_GETARG_TEXT_PP(0)));
	event_sql = MemoryContextStrdup(TopMemoryContext,
									text_to_cstring(PG_GETARG_TEXT_PP(1)));
	PG_RETURN_VOID();
}

static void
on_transaction(XactEvent event, void *arg)
{
	const char *name = event == XACT_EVENT_PRE_COMMIT ? "pre-commit" :
	event == XACT_EVENT_PRE_PREPARE ? "pre-prepare" : "";
	char	   *sql = event_sql;

	if (sql == NULL || strcmp(name, event_name) != 0)
		return;
	event_sql = NULL;
	(void) run(sql);
}

static char *
run(const char *sql)
{
	char	   *value = NULL;

	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	if (SPI_execute(sql, false, 0) < 0)
		elog(ERROR, "could not execute: %s", sql);
	if (SPI_processed > 0 && SPI_tuptable != NULL)
		value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	value = value == NULL ? NULL : MemoryContextStrdup(TopMemoryContext, value);
	SPI_finish();
	PopActiveSnapshot();
	return value;
}

Datum
forked(PG_FUNCTION_ARGS)
{
	char	   *sql = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char		buf[1024];
	int			fds[2];
	ssize_t		n;
	int			status;
	pid_t		pid;

	if (pipe(fds) != 0 || (pid = fork()) < 0)
		elog(ERROR, "could not fork: %m");
	if (pid == 0)
		run_child(sql, fds[1]);
	close(fds[1]);
	do
		n = read(fds[0], buf, sizeof(buf));
	while (n < 0 && errno == EINTR);
	close(fds[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		elog(ERROR, "the child ended with status %d", status);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(buf, Max(n, 0)));
}

/*
 * The child: gives up after a while, and never runs what the backend has
 * registered for its own exit.
 */
static void
run_child(const char *sql, int fd)
{
	MemoryContext old = CurrentMemoryContext;
	char	   *answer = NULL;

	signal(SIGALRM, SIG_DFL);
	alarm(20);
	PG_TRY();
	{
		answer = run(sql);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(old);
		error = CopyErrorData();
		FlushErrorState();
		answer = error->message;
	}
	PG_END_TRY();
	if (answer != NULL && write(fd, answer, strlen(answer)) < 0)
		_exit(1);
	_exit(0);
}
