/* Time zones: PostgreSQL's common abbreviations, the system's zoneinfo files (RFC 8536), and POSIX
 * forms such as EST5EDT or '+02' (which POSIX counts west of Greenwich, as PostgreSQL does here).
 * C's own functions know one zone a process; so the files are read here, once each, and kept for
 * ever: there are about 600. */
#include "data/time_internal.h"
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ZONEINFO "/usr/share/zoneinfo"
enum { NAME_MOST = 64, FILE_MOST = 1 << 20 };

static const struct {
    const char *name;
    int minutes; /* east of UTC */
} abbreviations[] = {
    {"utc", 0},     {"gmt", 0},    {"z", 0},       {"zulu", 0},    {"ut", 0},     {"uct", 0},
    {"wet", 0},     {"west", 60},  {"bst", 60},    {"cet", 60},    {"mez", 60},   {"met", 60},
    {"cest", 120},  {"mesz", 120}, {"eet", 120},   {"sast", 120},  {"ist", 120},  {"eest", 180},
    {"idt", 180},   {"msk", 180},  {"eat", 180},   {"wat", 60},    {"msd", 240},  {"pkt", 300},
    {"npt", 345},   {"ict", 420},  {"hkt", 480},   {"sgt", 480},   {"pht", 480},  {"awst", 480},
    {"jst", 540},   {"kst", 540},  {"acst", 570},  {"acdt", 630},  {"aest", 600}, {"aedt", 660},
    {"nzst", 720},  {"nzdt", 780}, {"nst", -210},  {"ndt", -150},  {"ast", -240}, {"adt", -180},
    {"est", -300},  {"edt", -240}, {"cst", -360},  {"cdt", -300},  {"mst", -420}, {"mdt", -360},
    {"pst", -480},  {"pdt", -420}, {"akst", -540}, {"akdt", -480}, {"hst", -600}, {"brt", -180},
    {"brst", -120}, {"art", -180}, {"clt", -180},  {"cot", -300},  {"pet", -300}, {"vet", -240},
    {"bot", -240},  {"uyt", -180},
};

typedef struct Rule { /* when summer time begins or ends */
    char kind; /* 'M' month.week.day, 'J' day without 29 February, 'N' zero-based day of the year */
    int month, week, day;
    int seconds; /* local time of the change */
} Rule;

typedef struct Posix {
    bool summer;
    int standard_offset, summer_offset;
    Rule begin, end;
} Posix;

typedef struct Zone Zone;
struct Zone {
    Zone *next;
    char name[NAME_MOST];
    int count;
    int64_t *times;   /* when each offset begins, seconds since 1970 */
    int32_t *offsets; /* count of them; */
    int first_offset; /* before times[0] */
    bool has_rule;
    Posix rule; /* after the last of times */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Zone *zones;

/* ---- POSIX forms ---- */

static bool posix_name(const char **at) {
    if (**at == '<') {
        const char *end = strchr(*at, '>');
        if (!end) return false;
        *at = end + 1;
        return true;
    }
    while (isalpha((unsigned char)**at)) ++*at;
    return true;
}

static bool posix_number(const char **at, int most, int *out) {
    if (!isdigit((unsigned char)**at)) return false;
    *out = 0;
    while (isdigit((unsigned char)**at) && *out <= most) *out = *out * 10 + (*(*at)++ - '0');
    return *out <= most;
}

/* [+-]hh[:mm[:ss]] in seconds */
static bool posix_time(const char **at, int most_hours, int *out) {
    int sign = 1, hour, minute = 0, second = 0;
    if (**at == '-' || **at == '+') sign = *(*at)++ == '-' ? -1 : 1;
    if (!posix_number(at, most_hours, &hour)) return false;
    if (**at == ':' && (++*at, !posix_number(at, 59, &minute))) return false;
    if (**at == ':' && (++*at, !posix_number(at, 59, &second))) return false;
    *out = sign * (hour * 3600 + minute * 60 + second);
    return true;
}

static bool posix_rule(const char **at, Rule *rule) {
    *rule = (Rule){.kind = 'N', .seconds = 7200};
    if (*(*at)++ != ',') return false;
    if (**at == 'M') {
        ++*at;
        rule->kind = 'M';
        if (!posix_number(at, 12, &rule->month) || rule->month < 1 || *(*at)++ != '.') return false;
        if (!posix_number(at, 5, &rule->week) || rule->week < 1 || *(*at)++ != '.') return false;
        if (!posix_number(at, 6, &rule->day)) return false;
    } else {
        if (**at == 'J') rule->kind = *(*at)++;
        if (!posix_number(at, 366, &rule->day)) return false;
    }
    if (**at != '/') return true;
    ++*at;
    return posix_time(at, 167, &rule->seconds);
}

static bool posix_parse(const char *at, Posix *out) {
    *out = (Posix){0};
    int west;
    if (!posix_name(&at) || !posix_time(&at, 24, &west)) return false;
    out->standard_offset = -west;
    if (!*at) return true;
    const char *name = at;
    if (!posix_name(&at) || at == name) return false;
    out->summer = true;
    out->summer_offset = out->standard_offset + 3600;
    if (*at && *at != ',') {
        if (!posix_time(&at, 24, &west)) return false;
        out->summer_offset = -west;
    }
    const char *rules = *at ? at : ",M3.2.0,M11.1.0"; /* the default of the United States */
    return posix_rule(&rules, &out->begin) && posix_rule(&rules, &out->end) && !*rules;
}

/* Local seconds since 1970 of the change in that year. */
static int64_t rule_in_year(const Rule *rule, int year) {
    int64_t day;
    if (rule->kind == 'M') {
        int64_t first = days_from_civil(year, rule->month, 1);
        int64_t weekday = ((first + 4) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
        day = first + (rule->day - weekday + 7) % 7 + (rule->week - 1) * 7;
        if (day >= first + month_length(year, rule->month)) day -= 7;
    } else {
        day = days_from_civil(year, 1, 1) + rule->day;
        if (rule->kind == 'J') day -= !(month_length(year, 2) == 29 && rule->day >= 60);
    }
    return day * 86400 + rule->seconds;
}

static int posix_offset(const Posix *posix, int64_t at) {
    if (!posix->summer) return posix->standard_offset;
    Calendar c;
    calendar_from_us((at + posix->standard_offset) * US_PER_SECOND, &c);
    int64_t begin = rule_in_year(&posix->begin, c.year) - posix->standard_offset;
    int64_t end = rule_in_year(&posix->end, c.year) - posix->summer_offset;
    bool summer = begin < end ? at >= begin && at < end : at >= begin || at < end;
    return summer ? posix->summer_offset : posix->standard_offset;
}

/* ---- zoneinfo files ---- */

static int64_t big_endian(const unsigned char *at, int size) {
    uint64_t value = 0;
    for (int i = 0; i < size; i++) value = value << 8 | at[i];
    return size == 4 ? (int32_t)value : (int64_t)value;
}

typedef struct Header {
    size_t isut, isstd, leaps, times, types, names;
} Header;

static bool read_header(const unsigned char *at, size_t left, Header *h) {
    if (left < 44 || memcmp(at, "TZif", 4) != 0) return false;
    size_t *counts[] = {&h->isut, &h->isstd, &h->leaps, &h->times, &h->types, &h->names};
    for (int i = 0; i < 6; i++) {
        *counts[i] = (size_t)(uint32_t)big_endian(at + 20 + 4 * i, 4);
        if (*counts[i] > FILE_MOST) return false;
    }
    return true;
}

static size_t body_size(const Header *h, size_t time_size) {
    return h->times * (time_size + 1) + h->types * 6 + h->names + h->leaps * (time_size + 4) +
           h->isstd + h->isut;
}

/* The second, 64-bit part of the file, and the rule behind it. */
static bool read_zone(const unsigned char *bytes, size_t size, Zone *zone) {
    Header h;
    if (!read_header(bytes, size, &h) || bytes[4] < '2') return false;
    size_t skip = 44 + body_size(&h, 4);
    if (skip > size || !read_header(bytes + skip, size - skip, &h)) return false;
    const unsigned char *at = bytes + skip + 44;
    size_t left = size - skip - 44;
    if (body_size(&h, 8) > left || h.types == 0) return false;
    const unsigned char *kinds = at + h.times * 8, *types = kinds + h.times;
    zone->times = xcalloc(h.times, sizeof *zone->times);
    zone->offsets = xcalloc(h.times, sizeof *zone->offsets);
    zone->count = (int)h.times;
    zone->first_offset = (int)big_endian(types, 4);
    for (size_t i = 0; i < h.times; i++) {
        zone->times[i] = big_endian(at + 8 * i, 8);
        if (kinds[i] >= h.types) return false;
        zone->offsets[i] = (int32_t)big_endian(types + 6 * kinds[i], 4);
    }
    const char *footer = (const char *)at + body_size(&h, 8), *end = (const char *)bytes + size;
    if (footer < end && *footer == '\n') {
        const char *stop = memchr(footer + 1, '\n', (size_t)(end - footer - 1));
        char text[128];
        if (stop && (size_t)(stop - footer) <= sizeof text && stop > footer + 1) {
            memcpy(text, footer + 1, (size_t)(stop - footer - 1));
            text[stop - footer - 1] = '\0';
            zone->has_rule = posix_parse(text, &zone->rule);
        }
    }
    return true;
}

/* Finds the file of that name, case aside, one folder after the other. */
static bool find_file(const char *name, char *path, size_t path_size) {
    snprintf(path, path_size, "%s", ZONEINFO);
    while (*name) {
        size_t size = strcspn(name, "/");
        DIR *folder = opendir(path);
        if (!folder || size == 0 || *name == '.') {
            if (folder) closedir(folder);
            return false;
        }
        bool found = false;
        for (struct dirent *entry; !found && (entry = readdir(folder));) {
            if (!str_equal_nocase(str_from(entry->d_name), (Str){name, size})) continue;
            size_t used = strlen(path);
            snprintf(path + used, path_size - used, "/%s", entry->d_name);
            found = true;
        }
        closedir(folder);
        if (!found) return false;
        name += size + (name[size] == '/');
    }
    return true;
}

static void zone_free(Zone *zone) {
    free(zone->times);
    free(zone->offsets);
    free(zone);
}

static Zone *load_file(const char *name) {
    char path[512];
    if (!find_file(name, path, sizeof path)) return NULL;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return NULL;
    Zone *zone = NULL;
    struct stat about;
    if (fstat(file, &about) == 0 && S_ISREG(about.st_mode) && about.st_size < FILE_MOST) {
        size_t size = (size_t)about.st_size;
        unsigned char *bytes = xmalloc(size);
        zone = xcalloc(1, sizeof *zone);
        if (read(file, bytes, size) != (ssize_t)size || !read_zone(bytes, size, zone)) {
            zone_free(zone);
            zone = NULL;
        }
        free(bytes);
    }
    close(file);
    return zone;
}

static Zone *find_zone(const char *name) {
    pthread_mutex_lock(&lock);
    Zone *zone = zones;
    while (zone && strcmp(zone->name, name) != 0) zone = zone->next;
    if (!zone && (zone = load_file(name))) {
        snprintf(zone->name, sizeof zone->name, "%s", name);
        zone->next = zones;
        zones = zone;
    }
    pthread_mutex_unlock(&lock);
    return zone;
}

static int file_offset(const Zone *zone, int64_t at) {
    if (zone->count == 0 || at < zone->times[0]) {
        return zone->count == 0 && zone->has_rule ? posix_offset(&zone->rule, at)
                                                  : zone->first_offset;
    }
    if (zone->has_rule && at >= zone->times[zone->count - 1]) return posix_offset(&zone->rule, at);
    int low = 0, high = zone->count;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (zone->times[middle] <= at) low = middle;
        else high = middle;
    }
    return zone->offsets[low];
}

/* ---- what others see ---- */

typedef struct Found {
    const Zone *zone;
    Posix posix;
} Found;

static int offset_at(const Found *found, int64_t at) {
    return found->zone ? file_offset(found->zone, at) : posix_offset(&found->posix, at);
}

/* The offset of a local time. Of a time that comes twice the later one is meant, of one that is
 * skipped the offset before the change: standard time both times, as PostgreSQL takes them. */
static int offset_of_local(const Found *found, int64_t local) {
    enum { DAY = 86400 };
    int before = offset_at(found, local - DAY), after = offset_at(found, local + DAY);
    if (before == after) return before;
    int64_t low = local - DAY, high = local + DAY; /* the change is in (low, high] */
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (offset_at(found, middle) == before) low = middle;
        else high = middle;
    }
    bool is_before = local - before < high, is_after = local - after >= high;
    if (is_before != is_after) return is_before ? before : after;
    return is_before ? after : before;
}

static bool find(const char *name, Found *found) {
    *found = (Found){0};
    for (size_t i = 0; i < sizeof abbreviations / sizeof *abbreviations; i++) {
        if (strcmp(abbreviations[i].name, name) != 0) continue;
        found->posix.standard_offset = abbreviations[i].minutes * 60;
        return true;
    }
    found->zone = find_zone(name);
    return found->zone || posix_parse(name, &found->posix);
}

Status zone_offset(Str name, int64_t at_us, bool at_is_local, int *seconds, Error *error) {
    char lower[NAME_MOST];
    if (name.size > 0 && name.size < sizeof lower && !memchr(name.data, '\0', name.size)) {
        for (size_t i = 0; i < name.size; i++)
            lower[i] = (char)tolower((unsigned char)name.data[i]);
        lower[name.size] = '\0';
        static _Thread_local char
            last_name[NAME_MOST]; /* rows of a column mostly name the same zone */
        static _Thread_local Found last;
        if (strcmp(last_name, lower) != 0) {
            Found found;
            if (!find(lower, &found))
                return reject(error, "time zone \"%.*s\" not recognized", STR_ARG(name));
            last = found;
            memcpy(last_name, lower, name.size + 1);
        }
        int64_t at = at_us / US_PER_SECOND - (at_us % US_PER_SECOND < 0);
        *seconds = at_is_local ? offset_of_local(&last, at) : offset_at(&last, at);
        return OK;
    }
    return reject(error, "time zone \"%.*s\" not recognized", STR_ARG(name));
}
