/* ${NAME}, ${NAME:-default} and ${file:PATH} in string literals. They are replaced in the tree,
 * behind the parser, so that no value can ever become SQL. Options keep their text as written
 * beside the replaced one: a connector that connects anew reads secret files anew. `$${` stands for
 * `${`; any other dollar sign is itself. */
#include "sql/tree.h"
#include <stdio.h>
#include <stdlib.h>

enum { SECRET_MOST_BYTES = 64 << 10 };

static Status read_secret(Catalog *c, int location, const char *path, Buffer *out, Error *error) {
    FILE *file = fopen(path, "re");
    if (!file) return error_at(c, location, error, "cannot read ${file:%s}: %m", path);
    char *to = buffer_reserve(out, SECRET_MOST_BYTES + 1);
    size_t size = fread(to, 1, SECRET_MOST_BYTES + 1, file);
    bool failed = ferror(file) != 0;
    fclose(file);
    if (failed) return error_at(c, location, error, "cannot read ${file:%s}: %m", path);
    if (size > SECRET_MOST_BYTES)
        return error_at(c, location, error, "${file:%s} has more than %d bytes", path,
                        SECRET_MOST_BYTES);
    if (memchr(to, 0, size))
        return error_at(c, location, error, "${file:%s} holds a zero byte", path);
    if (size > 0 && to[size - 1] == '\n') size--; /* what editors and echo leave behind */
    if (size > 0 && to[size - 1] == '\r') size--;
    out->size += size;
    return OK;
}

static size_t name_size(const char *at) {
    size_t size = 0;
    while ((at[size] >= 'A' && at[size] <= 'Z') || (at[size] >= 'a' && at[size] <= 'z') ||
           at[size] == '_' || (size > 0 && at[size] >= '0' && at[size] <= '9'))
        size++;
    return size;
}

/* `at` stands behind "${"; moves it behind "}". */
static Status replace_one(Catalog *c, int location, const char **at, Buffer *out, Error *error) {
    const char *end = strchr(*at, '}');
    if (!end)
        return error_at(c, location, error,
                        "${ without }; write $${ for the characters themselves");
    const char *begin = *at;
    *at = end + 1;
    Str inside = {begin, (size_t)(end - begin)};
    if (inside.size > 5 && memcmp(begin, "file:", 5) == 0)
        return read_secret(c, location, arena_text(c->arena, (Str){begin + 5, inside.size - 5}),
                           out, error);
    size_t size = name_size(begin);
    bool with_default = size > 0 && begin[size] == ':' && begin[size + 1] == '-';
    if (size == 0 || (size != inside.size && !with_default))
        return error_at(c, location, error,
                        "${%.*s} is no variable; write ${NAME}, ${NAME:-default}, ${file:PATH}, or "
                        "$${ for the characters themselves",
                        STR_ARG(inside));
    const char *name = arena_text(c->arena, (Str){begin, size});
    const char *value = getenv(name);
    if (with_default && (!value || !*value)) {
        buffer_add_str(out, (Str){begin + size + 2, inside.size - size - 2});
        return OK;
    }
    if (!value)
        return error_at(c, location, error,
                        "environment variable %s is not set; set it or write ${%s:-default}", name,
                        name);
    buffer_add_text(out, value);
    return OK;
}

Status replace_variables(Catalog *c, int location, const char *text, const char **out,
                         Error *error) {
    *out = text;
    if (!strstr(text, "${")) return OK;
    Buffer buffer = {0};
    Status status = OK;
    for (const char *at = text; *at && status == OK;) {
        if (strncmp(at, "$${", 3) == 0) {
            buffer_add_text(&buffer, "${");
            at += 3;
        } else if (strncmp(at, "${", 2) == 0) {
            at += 2;
            status = replace_one(c, location, &at, &buffer, error);
        } else {
            buffer_add_char(&buffer, *at++);
        }
    }
    if (status == OK) *out = arena_text(c->arena, buffer_str(&buffer));
    buffer_free(&buffer);
    return status;
}
