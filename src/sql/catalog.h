/* What a pipeline file says, before its queries are planned: settings, tables, views, inserts.
 * parse.c fills it. Everything is in the catalog's arena. Errors carry line and column of the
 * pipeline file. */
#pragma once
#include "connector/connector.h"

/* Statements as libpg_query gives them; only sql/ looks inside. */
typedef struct PgQuery__SelectStmt SelectTree;
typedef struct PgQuery__Node NodeTree;

typedef struct TableColumn {
    const char *name; /* as spelled */
    bool quoted;
    Type type;
    bool not_null;
    int key;             /* place in the PRIMARY KEY from 1, 0: none */
    NodeTree *generated; /* GENERATED ALWAYS AS (expr) STORED; NULL: none */
    int line, place;
} TableColumn;

typedef struct Table {
    const char *name;
    bool quoted;
    TableColumn *columns;
    int column_count;
    int *keys; /* columns of the PRIMARY KEY in order */
    int key_count;
    const Connector *connector;
    const Format *format; /* of a source; of a sink: json */
    Options options;
    bool is_source, is_sink, is_reference; /* how the file uses it; set by the planner */
    int event_time;                        /* column, -1: none */
    int64_t watermark_delay_us, idle_timeout_us, max_future_us;
    OnError on_error;
    int line, place;
} Table;

typedef struct View {
    const char *name;
    bool quoted, materialized;
    SelectTree *select;
    const char **column_names; /* CREATE VIEW v (a, b): NULL: none given */
    int column_name_count;
    bool horizon_given, emit_final, retention_given;
    int64_t horizon_us;   /* default 10 minutes */
    int64_t retention_us; /* default 1 day */
    int64_t state_ttl_us; /* 0: not given */
    int state_ttl_location;
    int line, place;
} View;

typedef struct Insert {
    const char *table;
    bool quoted;
    const char **columns; /* INSERT INTO t (a, b); NULL: all */
    bool *columns_quoted;
    int column_count;
    SelectTree *select;
    int line, place;
} Insert;

typedef struct Settings {
    const char *pipeline; /* default: the file's name without .sql */
    const char *home;     /* path of the SQLite file */
    int64_t checkpoint_interval_us;
    int workers;          /* 0: one a core */
    const char *http;     /* NULL: 127.0.0.1:8080 or the next free port; "off"; "address:port" */
    int64_t memory_limit; /* bytes; 0: half of the machine or container */
    int64_t keep_rejects; /* rows */
    int64_t outbox_limit; /* bytes */
} Settings;

typedef struct Catalog {
    Arena *arena;
    const char *file; /* as given, for messages */
    Str text;         /* after nothing: as read */
    Settings settings;
    Table *tables;
    int table_count;
    View *views;
    int view_count;
    Insert *inserts;
    int insert_count;
    SelectTree *adhoc; /* `leat sql`: its SELECT; NULL in a pipeline file */
    char **warnings;   /* "FILE:LINE:COL: warning: …" */
    int warning_count;
    void *trees; /* libpg_query's, kept until catalog_free */
} Catalog;

extern const Option
    setting_options[]; /* the settings as rows, empty-row ended: for docs/options.md */

/* Reads and parses; checks statements, types, option names and values, settings, ${} variables.
 * Contacts nothing. The error is whole: `error->line/column` set; catalog_error_text prints
 * FILE:LINE:COL: error: … with the source line and a caret. */
CHECKED Status catalog_read(const char *file, Catalog **out, Error *);
CHECKED Status catalog_parse(const char *file, Str text, Catalog **out, Error *);
void catalog_free(Catalog **);
/* Name resolution by LANGUAGE.md 1: quoted: exact; else without regard to case; ambiguous: FAIL.
 * NULL: none, no error. */
CHECKED Status catalog_find_table(Catalog *, const char *name, bool quoted, Table **out, Error *);
CHECKED Status catalog_find_view(Catalog *, const char *name, bool quoted, View **out, Error *);
/* "FILE:LINE:COL: error: text" + the line + a caret. `file` may be "query" for `leat sql`. */
void catalog_error_text(const char *file, Str text, const Error *, Buffer *out);
/* Ad hoc: a catalog with one table `input` (columns given) and one SELECT. */
CHECKED Status catalog_adhoc(Str select, const Schema *input, const Options *input_options,
                             Catalog **out, Error *);
