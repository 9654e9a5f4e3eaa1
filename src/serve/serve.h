/* The web side: dashboard, metrics, read API. A thread of its own that reads committed views from
 * the home and numbers from the report; it never touches the engine. */
#pragma once
#include "engine/report.h"

typedef struct Server Server;

/* `address` as in SET http: NULL: 127.0.0.1:8080 or the next free port; "address:port": that one or
 * FAIL. */
CHECKED Status server_open(const char *address, Report *, Server **out, Error *);
const char *server_url(const Server *); /* "http://127.0.0.1:8080/" */
void server_close(Server **);           /* ends streams, frees the port */
