/* What a browser sends, taken apart by ourselves and not by the HTTP library: the library decodes
 * in place and ends texts at a decoded zero byte, so that /v1/views/hot%00x would be the view hot.
 * Everything here is hostile until proven harmless. */
#include "serve/request.h"
#include "data/utf8.h"
#include <stdio.h>

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Percent signs, and in parameters a plus for a space. */
static Status decode(const char *text, size_t size, bool plus, Arena *arena, Str *out,
                     Error *error) {
    char *to = arena_alloc(arena, size + 1);
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] != '%') {
            to[n++] = plus && text[i] == '+' ? ' ' : text[i];
            continue;
        }
        int high = size - i > 2 ? hex_digit(text[i + 1]) : -1;
        int low = size - i > 2 ? hex_digit(text[i + 2]) : -1;
        if (high < 0 || low < 0)
            return reject(error, "bad escape in the address: %% wants two hexadecimal digits");
        to[n++] = (char)(high * 16 + low);
        i += 2;
    }
    to[n] = 0;
    *out = (Str){to, n};
    for (size_t i = 0, length; i < n; i += length)
        if ((length = utf8_length(to + i, n - i)) == 0)
            return reject(error, "the address is not UTF-8");
    return OK;
}

static Status param_parse(const char *text, size_t size, Arena *arena, Target *target,
                          Error *error) {
    const char *equals = memchr(text, '=', size);
    size_t name_size = equals ? (size_t)(equals - text) : size;
    Str name, value = {"", 0};
    Status status = decode(text, name_size, true, arena, &name, error);
    if (status == OK && equals)
        status = decode(equals + 1, size - name_size - 1, true, arena, &value, error);
    if (status != OK) return status;
    if (memchr(name.data, 0, name.size) || (value.size && memchr(value.data, 0, value.size)))
        return reject(error, "a parameter holds a zero byte");
    if (target->param_count == REQUEST_PARAMS)
        return reject(error, "more than %d parameters", REQUEST_PARAMS);
    target->params[target->param_count++] = (Param){name.data, value.data};
    return OK;
}

Status target_parse(const char *raw, Arena *arena, Target *target, Error *error) {
    *target = (Target){0};
    size_t path_size = strcspn(raw, "?#");
    if (raw[0] != '/') return reject(error, "the address must begin with /");
    Status status = decode(raw, path_size, false, arena, &target->path, error);
    const char *at = raw + path_size;
    while (status == OK && (*at == '?' || *at == '&')) {
        at++;
        size_t size = strcspn(at, "&#");
        if (size) status = param_parse(at, size, arena, target, error);
        at += size;
    }
    return status;
}

const char *target_param(const Target *target, const char *name) {
    for (int i = 0; i < target->param_count; i++)
        if (strcmp(target->params[i].name, name) == 0) return target->params[i].value;
    return NULL;
}

Status limit_parse(const char *text, int64_t most, int64_t *out, Error *error) {
    int64_t value = 0;
    const char *c = text;
    for (; *c >= '0' && *c <= '9'; c++)
        if (value <= most) value = value * 10 + (*c - '0');
    if (*c || c == text) return reject(error, "limit wants a whole number, not '%.40s'", text);
    *out = value < most ? value : most;
    return OK;
}

Status address_parse(const char *text, char *host, size_t host_size, char *port, size_t port_size,
                     Error *error) {
    const char *colon = strrchr(text, ':');
    size_t size = colon ? (size_t)(colon - text) : 0,
           digits = colon ? strspn(colon + 1, "0123456789") : 0;
    if (size > 2 && text[0] == '[' && text[size - 1] == ']') {
        text++;
        size -= 2;
    }
    if (size == 0 || size >= host_size || digits == 0 || digits > 5 || digits >= port_size ||
        colon[1 + digits])
        return reject(error, "http expects 'off' or 'address:port', not '%.200s'", text);
    snprintf(host, host_size, "%.*s", (int)size, text);
    snprintf(port, port_size, "%s", colon + 1);
    return OK;
}
