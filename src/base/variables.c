/* Variables in texts: from the environment, and secrets from files. It stands down here because
 * two ask for it: the parser once, and a connector that connects anew, since a secret file may have
 * changed meanwhile. */
#include "base/variables.h"
#include "base/memory.h"
#include <stdio.h>
#include <stdlib.h>

enum { SECRET_MOST_BYTES = 64 << 10 };

static Status read_secret(Str named, Buffer *out, Error *error) {
    Buffer path = {0};
    buffer_add_str(&path, named);
    buffer_add_char(&path, 0);
    char *to = buffer_reserve(out, SECRET_MOST_BYTES + 1);
    FILE *file = fopen(path.data, "re");
    Status status = OK;
    size_t size = 0;
    if (file) size = fread(to, 1, SECRET_MOST_BYTES + 1, file);
    if (!file || ferror(file)) status = fail(error, "cannot read ${file:%s}: %m", path.data);
    else if (size > SECRET_MOST_BYTES)
        status =
            fail(error, "${file:%s} has more than %d bytes", path.data, (int)SECRET_MOST_BYTES);
    else if (memchr(to, 0, size)) status = fail(error, "${file:%s} holds a zero byte", path.data);
    if (file) fclose(file);
    buffer_free(&path);
    if (status != OK) return status;
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

static const char *environment(Str named) {
    char *name = xmalloc(named.size + 1);
    memcpy(name, named.data, named.size);
    name[named.size] = 0;
    const char *value = getenv(name);
    free(name);
    return value;
}

/* `at` stands behind "${"; moves it behind "}". */
static Status replace_one(const char **at, Buffer *out, Error *error) {
    const char *end = strchr(*at, '}');
    if (!end) return fail(error, "${ without }; write $${ for the characters themselves");
    const char *begin = *at;
    *at = end + 1;
    Str inside = {begin, (size_t)(end - begin)};
    if (inside.size > 5 && memcmp(begin, "file:", 5) == 0)
        return read_secret((Str){begin + 5, inside.size - 5}, out, error);
    Str name = {begin, name_size(begin)};
    bool with_default = name.size > 0 && begin[name.size] == ':' && begin[name.size + 1] == '-';
    if (name.size == 0 || (name.size != inside.size && !with_default))
        return fail(error,
                    "${%.*s} is no variable; write ${NAME}, ${NAME:-default}, ${file:PATH}, or "
                    "$${ for the characters themselves",
                    STR_ARG(inside));
    if (memmem(begin, inside.size, "${", 2))
        return fail(error,
                    "${%.*s} has a variable within its default, which is not replaced; write the "
                    "default out",
                    STR_ARG(name));
    const char *value = environment(name);
    if (with_default && (!value || !*value)) {
        buffer_add_str(out, (Str){begin + name.size + 2, inside.size - name.size - 2});
        return OK;
    }
    if (!value)
        return fail(error, "environment variable %.*s is not set; set it or write ${%.*s:-default}",
                    STR_ARG(name), STR_ARG(name));
    buffer_add_text(out, value);
    return OK;
}

Status variables_replace(const char *text, Buffer *out, Error *error) {
    Status status = OK;
    for (const char *at = text; *at && status == OK;) {
        if (strncmp(at, "$${", 3) == 0) {
            buffer_add_text(out, "${");
            at += 3;
        } else if (strncmp(at, "${", 2) == 0) {
            at += 2;
            status = replace_one(&at, out, error);
        } else {
            buffer_add_char(out, *at++);
        }
    }
    return status;
}
