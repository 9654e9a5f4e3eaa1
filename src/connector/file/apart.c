/* Whether a sink writes into a file that something else reads or writes, under whatever name: links
 * are followed, and files are compared by device and inode. Asked before the sink touches anything,
 * since emptying its file would empty the other's, too. */
#include "connector/file/file.h"
#include <fnmatch.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where a sink writes. */
typedef struct Place {
    bool exists; /* `file` is known */
    struct stat file;
    bool parent_exists;
    struct stat parent;
    char name[NAME_MAX + 1]; /* in the folder `parent` */
} Place;

static bool is_same(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* A path's folder, links followed to the end, and the name in it. */
static void split(const char *path, Place *place) {
    char *whole = realpath(path, NULL), *link = NULL;
    if (!whole) { /* not there yet; or a link to what is not there yet */
        char target[PATH_MAX];
        ssize_t size = readlink(path, target, sizeof target - 1);
        if (size > 0) {
            Buffer name = {0};
            const char *slash = strrchr(path, '/');
            target[size] = 0;
            if (*target != '/' && slash) buffer_add(&name, path, (size_t)(slash - path) + 1);
            buffer_add_text(&name, target);
            buffer_add_char(&name, 0);
            link = name.data;
            path = link;
        }
    }
    const char *at = whole ? whole : path, *slash = strrchr(at, '/');
    Buffer folder = {0};
    if (slash) buffer_add(&folder, at, (size_t)(slash - at) + 1);
    else buffer_add_text(&folder, ".");
    buffer_add_char(&folder, 0);
    place->parent_exists = stat(folder.data, &place->parent) == 0;
    snprintf(place->name, sizeof place->name, "%s", slash ? slash + 1 : at);
    buffer_free(&folder);
    free(link);
    free(whole);
}

static Place place_of(const Options *sink) {
    Place place = {0};
    const char *path = option_text(sink, "path", "");
    if (is_standard_stream(path)) { /* `>> FILE` */
        place.exists = fstat(STDOUT_FILENO, &place.file) == 0;
    } else if (is_folder_path(path)) { /* a file an epoch */
        bool csv = strcmp(option_text(sink, "format", "json"), "csv") == 0;
        place.parent_exists = stat(path, &place.parent) == 0;
        strcpy(place.name, csv ? "epoch-000000000001.csv" : "epoch-000000000001.ndjson");
    } else {
        place.exists = stat(path, &place.file) == 0;
        split(path, &place);
    }
    /* Devices and pipes may be many things at once. */
    if (place.exists && !S_ISREG(place.file.st_mode)) place.exists = false;
    return place;
}

static bool is_at(const Place *place, const char *path) {
    struct stat st;
    int status = is_standard_stream(path) ? fstat(STDIN_FILENO, &st) : stat(path, &st);
    return place->exists && status == 0 && is_same(&place->file, &st);
}

/* The folder itself, or a pattern's folder whose names it matches. */
static bool would_take_in(const Place *place, const char *path) {
    struct stat st;
    if (!place->parent_exists) return false;
    if (stat(path, &st) == 0) return S_ISDIR(st.st_mode) && is_same(&place->parent, &st);
    const char *slash = strrchr(path, '/');
    if (!strpbrk(path, "*?[") ||
        fnmatch(slash ? slash + 1 : path, place->name, FNM_PATHNAME | FNM_PERIOD) != 0)
        return false;
    Buffer folder = {0};
    if (slash) buffer_add(&folder, path, (size_t)(slash - path) + 1);
    else buffer_add_text(&folder, ".");
    buffer_add_char(&folder, 0);
    glob_t found;
    bool same = false;
    int status = glob(folder.data, GLOB_NOSORT, NULL, &found);
    for (size_t i = 0; status == 0 && i < found.gl_pathc && !same; i++)
        same = stat(found.gl_pathv[i], &st) == 0 && is_same(&place->parent, &st);
    if (status == 0) globfree(&found);
    buffer_free(&folder);
    return same;
}

static bool shares_with_sink(const Options *sink, const Place *place, const Options *other) {
    Place there = place_of(other);
    if (is_standard_stream(option_text(other, "path", "")) &&
        is_standard_stream(option_text(sink, "path", "")))
        return false; /* rows of both, a line each */
    if (place->exists && there.exists && is_same(&place->file, &there.file)) return true;
    return place->parent_exists && there.parent_exists && *place->name &&
           is_same(&place->parent, &there.parent) && strcmp(place->name, there.name) == 0;
}

bool file_shares(const Options *sink, const Options *other, bool written) {
    Place place = place_of(sink);
    if (written) return shares_with_sink(sink, &place, other);
    const char *path = option_text(other, "path", "");
    if (is_at(&place, path) || would_take_in(&place, path)) return true;
    if (!place.exists || is_standard_stream(path)) return false;
    Arena *arena = arena_new();
    char **files = NULL;
    int count = 0;
    Error ignored;
    bool same = false;
    if (file_list(path, "", arena, &files, &count, &ignored) == OK)
        for (int i = 0; i < count && !same; i++) same = is_at(&place, files[i]);
    arena_free(&arena);
    return same;
}
