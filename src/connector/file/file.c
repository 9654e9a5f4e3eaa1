/* The file connector's options, and what its paths stand for. */
#include "connector/file/file.h"
#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <sys/stat.h>

static const char *const orders[] = {"name", NULL};

enum { READ = OPTION_SOURCE | OPTION_REFERENCE };

static const Option options[] = {
    {"path", OPTION_TEXT, NULL, NULL, NULL,
     "a file, a folder or a pattern like 'in/*.ndjson'; - is standard input or output; a sink's "
     "path "
     "that ends in / is a folder that gets one file an epoch",
     OPTION_REQUIRED | OPTION_ANSWER | READ | OPTION_SINK},
    {"order", OPTION_ENUM, NULL, orders, NULL,
     "name: the files are one partition, one after the other; default: each is a partition and "
     "they are read side by side",
     OPTION_ANSWER | READ},
    {"follow", OPTION_BOOL, "false", NULL, NULL,
     "true: never ends; goes on as files grow, are renamed, truncated, deleted, and as new ones "
     "come",
     OPTION_SOURCE},
    {"header", OPTION_BOOL, "true", NULL, NULL,
     "csv: the first record names the columns; false: columns in their declared order",
     OPTION_ANSWER | READ | OPTION_SINK},
    {"delimiter", OPTION_TEXT, ",", NULL, NULL, "csv: what stands between fields, one character",
     OPTION_ANSWER | READ | OPTION_SINK},
    {"overwrite", OPTION_BOOL, "false", NULL, NULL,
     "a sink's file that exists already and is not this pipeline's is emptied; of a folder, the "
     "files that are named like a sink's",
     OPTION_SINK},
    {0},
};

static bool given(const Options *all, const char *name) {
    const OptionValue *value = option_find(all, name);
    return value && value->given;
}

static Status check(const Options *all, bool as_source, bool as_sink, bool has_key, Error *error) {
    (void)as_source;
    const char *path = option_text(all, "path", ""),
               *delimiter = option_text(all, "delimiter", ",");
    bool csv = strcmp(option_text(all, "format", "json"), "csv") == 0;
    if (!*path) return fail(error, "connector 'file' needs path = 'a file, a folder or a pattern'");
    if (option_bool(all, "follow", false) && is_standard_stream(path))
        return fail(error, "standard input cannot be followed, it is read until its writer closes "
                           "it; leave follow out, or let path name the file");
    if (option_bool(all, "follow", false) && given(all, "order"))
        return fail(error, "order = 'name' needs all files at the start and follow = true has none "
                           "that is the last; leave one of them out");
    if (!csv && (given(all, "header") || given(all, "delimiter")))
        return fail(error, "option '%s' belongs to csv; add format = 'csv' or leave it out",
                    given(all, "header") ? "header" : "delimiter");
    if (strlen(delimiter) != 1 || strchr("\"\r\n", *delimiter))
        return fail(error,
                    "option 'delimiter' expects one character, not a quote or a line end, got '%s'",
                    delimiter);
    if (!as_sink) return OK;
    if (strcmp(option_text(all, "format", "json"), "json_array") == 0)
        return fail(error, "format = 'json_array' can be read, not written; leave format out to "
                           "write one object a line");
    if (has_key)
        return fail(error, "a file cannot replace rows, so its table can have no PRIMARY KEY; "
                           "leave the key out to append");
    return OK;
}

static SinkWay sink_way(const Options *all) {
    const char *path = option_text(all, "path", "");
    return is_standard_stream(path) ? SINK_AT_ONCE
           : is_folder_path(path)   ? SINK_BY_OUTBOX
                                    : SINK_BY_LENGTH;
}

const Connector file_connector = {.name = "file",
                                  .help = "files, folders, standard input and output",
                                  .options = options,
                                  .source = &file_source,
                                  .sink = &file_sink,
                                  .reference = true,
                                  .sink_way = sink_way,
                                  .shares = file_shares,
                                  .check = check};

const char *file_remedy(int code, bool writing) {
    switch (code) {
    case ENOENT:
    case ENOTDIR:
        return writing ? "; make the folder, or name another path"
                       : "; put it there, or correct the path (it is relative to where leat runs)";
    case EACCES:
    case EPERM:
    case EROFS:
        return writing ? "; let this user write there, or name another path"
                       : "; let this user read it";
    case ENOSPC:
    case EDQUOT: return "; make room and start again: nothing is lost";
    case EMFILE:
    case ENFILE: return "; raise the limit of open files (ulimit -n)";
    default: return "";
    }
}

/* ---- paths ---- */

typedef struct Names {
    Arena *arena;
    char **items;
    int count, capacity;
} Names;

static void add_file(Names *names, const char *path) {
    struct stat st;
    if (stat(path, &st) != 0 || S_ISDIR(st.st_mode)) return;
    if (names->count == names->capacity) {
        names->capacity = names->capacity ? 2 * names->capacity : 16;
        char **wider = arena_new_array(names->arena, char *, names->capacity);
        if (names->count) memcpy(wider, names->items, (size_t)names->count * sizeof *wider);
        names->items = wider;
    }
    names->items[names->count++] = arena_text(names->arena, str_from(path));
}

static Status list_folder(Names *names, const char *path, const char *table, Error *error) {
    DIR *folder = opendir(path);
    if (!folder)
        return fail(error, "source %s: cannot read the folder '%s': %s%s", table, path,
                    strerror(errno), file_remedy(errno, false));
    size_t size = strlen(path);
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.') continue;
        Buffer name = {0};
        buffer_add_format(&name, "%s%s%s", path, path[size - 1] == '/' ? "" : "/", entry->d_name);
        buffer_add_char(&name, 0);
        add_file(names, name.data);
        buffer_free(&name);
    }
    closedir(folder);
    return names->count ? OK
                        : fail(error, "source %s: the folder '%s' has no files; put some there",
                               table, path);
}

static Status list_pattern(Names *names, const char *path, const char *table, Error *error) {
    glob_t found;
    int status = glob(path, GLOB_NOSORT, NULL, &found);
    for (size_t i = 0; status == 0 && i < found.gl_pathc; i++) add_file(names, found.gl_pathv[i]);
    if (status == 0) globfree(&found);
    return names->count
               ? OK
               : fail(error, "source %s: no file matches '%s'; correct the pattern", table, path);
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static Status list_one(Names *names, const char *path, const char *table, Error *error) {
    struct stat st;
    if (is_standard_stream(path)) {
        names->items = arena_new_array(names->arena, char *, 1);
        names->items[names->count++] = arena_text(names->arena, str_from(path));
        return OK;
    }
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode)) return list_folder(names, path, table, error);
        add_file(names, path);
        return OK;
    }
    if (strpbrk(path, "*?[")) return list_pattern(names, path, table, error);
    return fail(error, "source %s: cannot read '%s': %s%s", table, path, strerror(errno),
                file_remedy(errno, false));
}

/* Several paths, one a line, are what `leat sql` makes of its arguments. */
Status file_list(const char *path, const char *table, Arena *arena, char ***paths, int *count,
                 Error *error) {
    Names names = {.arena = arena};
    Status status = OK;
    while (status == OK && *path) {
        size_t size = strcspn(path, "\n");
        status = list_one(&names, arena_text(arena, (Str){path, size}), table, error);
        path += size + (path[size] == '\n');
    }
    if (names.count) qsort(names.items, (size_t)names.count, sizeof *names.items, by_name);
    *paths = names.items;
    *count = names.count;
    return status;
}
