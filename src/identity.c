/*-------------------------------------------------------------------------
 *
 * identity.c
 *	  Which cluster this is, as opposed to a copy of it.
 *
 * NOTES
 *	  A base backup has the system identifier of its original, and would write
 *	  to Kafka in its name.  What a copy of the files cannot keep is their
 *	  place: the data directory's path and the inode of pg_control, which is
 *	  always written in place.  Both stay the same when the server or the
 *	  machine restarts.  Host name and device number are left out, for they may
 *	  change with a restart (containers, renumbered disks); so a snapshot of a
 *	  whole volume, mounted at the same path, cannot be told from its original.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>

#include "access/xlog.h"
#include "common/hashfn.h"
#include "identity.h"
#include "miscadmin.h"
#include "port.h"

/*
 * kafka_cluster_identity
 *		Returns the system identifier and a hash of the data directory's place,
 *		in hexadecimal, joined by a hyphen: letters that fit any name of Kafka.
 *
 * The string lives as long as the process.
 */
const char *
kafka_cluster_identity(void)
{
	static char identity[64] = "";
	char		path[MAXPGPATH];
	char	   *resolved;
	struct stat control;
	uint64		place;

	if (identity[0] != '\0')
		return identity;
	snprintf(path, sizeof(path), "%s/global/pg_control", DataDir);
	if (stat(path, &control) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not stat file \"%s\": %m", path)));
	resolved = realpath(DataDir, NULL);
	if (resolved == NULL)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not resolve path \"%s\": %m", DataDir)));
	place = hash_combine64(hash_bytes_extended((unsigned char *) resolved,
											   strlen(resolved), 0),
						   (uint64) control.st_ino);
	free(resolved);
	snprintf(identity, sizeof(identity), "%016llx-%08x",
			 (unsigned long long) GetSystemIdentifier(), (uint32) (place ^ (place >> 32)));
	return identity;
}
