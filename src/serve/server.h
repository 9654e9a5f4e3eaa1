/* What the files of the web side share. */
#pragma once
#include "serve/request.h"
#include "serve/serve.h"
#include "state/home.h"
#include <microhttpd.h>

enum { READERS_MOST = 4 };

typedef struct Events Events;

struct Server {
    Report *report;
    struct MHD_Daemon *daemon;
    char url[300];
    Events *events;
    pthread_mutex_t lock;
    HomeReader *readers[READERS_MOST]; /* not in use now; under lock */
    int reader_count;
};

/* An answer before it is sent. */
typedef struct Answer {
    unsigned status;
    const char *type;
    Buffer body;                   /* given away when sent */
    bool page;                     /* the dashboard's bytes instead of body */
    struct MHD_Response *response; /* a stream instead of body; NULL: none */
} Answer;

/* api.c: what each address answers. */
void answer_get(Server *, const Target *, struct MHD_Connection *, Answer *);
void answer_error(Answer *, unsigned status, const char *format, ...) PRINTF(3, 4);

/* events.c: server-sent events. One thread makes the text once a second for all who listen. */
CHECKED Status events_open(Report *, Events **out, Error *);
/* A response that streams; NULL: too many listen already. */
struct MHD_Response *events_listen(Events *, struct MHD_Connection *);
void events_history(Events *, Buffer *out); /* JSON of the last ten minutes, a second each */
void events_end(Events *);                  /* a last event, then every stream ends */
void events_close(Events **);               /* after the daemon has stopped */

/* page.c is made from web/ by embed.py. */
extern const unsigned char page_bytes[];
extern const size_t page_size;
extern const char page_policy[]; /* Content-Security-Policy */
