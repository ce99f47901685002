/*-------------------------------------------------------------------------
 *
 * launcher.h
 *	  Starts and stops the workers of all databases.
 *
 *-------------------------------------------------------------------------
 */
#ifndef KAFKA_LAUNCHER_H
#define KAFKA_LAUNCHER_H

extern PGDLLEXPORT void kafka_launcher_main(Datum arg);
extern PGDLLEXPORT void kafka_scanner_main(Datum arg);

#endif							/* KAFKA_LAUNCHER_H */
