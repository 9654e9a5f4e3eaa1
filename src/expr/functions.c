/* The registry: the tables of all files as one, found by name. Each file that adds functions
 * exports one table that ends with an empty row; it is named here and nowhere else. The index by
 * name and the matrix of casts are made once, at the first look-up. */
#include "expr/expr.h"
#include <pthread.h>
#include <stdlib.h>

extern const Function arithmetic_functions[], cast_functions[], compare_functions[],
    encoding_functions[], from_char_functions[], json_build_functions[], json_functions[],
    like_functions[], math_functions[], misc_functions[], regex_functions[], text_functions[],
    text_concat_functions[], text_part_functions[], time_functions[], time_field_functions[],
    time_make_functions[], to_char_functions[], to_char_number_functions[];

static const Function *const tables[] = {
    arithmetic_functions, cast_functions,       compare_functions,        encoding_functions,
    from_char_functions,  json_build_functions, json_functions,           like_functions,
    math_functions,       misc_functions,       regex_functions,          text_concat_functions,
    text_functions,       text_part_functions,  time_field_functions,     time_functions,
    time_make_functions,  to_char_functions,    to_char_number_functions,
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const Function **by_name; /* sorted by name; equal names in the order of the tables */
static int function_count;
static const Function *casts[TYPE_KINDS][TYPE_KINDS];
static const Function *assignment_casts[TYPE_KINDS][TYPE_KINDS];

static int compare_rows(const void *a, const void *b) {
    const Function *const *first = a, *const *second = b;
    int order = strcmp((*first)->name, (*second)->name);
    if (order != 0) return order;
    return *first < *second ? -1 : *first > *second;
}

static void note_cast(const Function *f) {
    const Function **to = strcmp(f->name, "assign") == 0 ? &assignment_casts[f->args[0]][f->result]
                                                         : &casts[f->args[0]][f->result];
    if (!*to) *to = f;
}

static void make_index(void) {
    const size_t table_count = sizeof tables / sizeof *tables;
    for (size_t t = 0; t < table_count; t++)
        for (const Function *f = tables[t]; f->name; f++) function_count++;
    by_name = xcalloc((size_t)function_count + 1, sizeof *by_name);
    int at = 0;
    for (size_t t = 0; t < table_count; t++) {
        for (const Function *f = tables[t]; f->name; f++) {
            by_name[at++] = f;
            if (f->flags & FUNCTION_CAST) note_cast(f);
        }
    }
    qsort(by_name, (size_t)function_count, sizeof *by_name, compare_rows);
}

const Function *function_at(int index) {
    pthread_once(&once, make_index);
    return index >= 0 && index < function_count ? by_name[index] : NULL;
}

static int compare_name(Str name, const char *with) {
    char lower[64];
    if (name.size >= sizeof lower) return 1;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        lower[i] = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
    }
    lower[name.size] = 0;
    return strcmp(lower, with);
}

static int first_named(Str name) {
    pthread_once(&once, make_index);
    int low = 0, high = function_count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (compare_name(name, by_name[middle]->name) > 0) low = middle + 1;
        else high = middle;
    }
    return low;
}

int functions_named(Str name, bool is_operator, const Function **found, int most) {
    bool words = name.size > 3 &&
                 memchr(name.data, ' ', name.size); /* "is true": neither a sign nor a function */
    int count = 0;
    for (int i = first_named(name); i < function_count && compare_name(name, by_name[i]->name) == 0;
         i++) {
        const Function *f = by_name[i];
        if (f->flags & FUNCTION_CAST) continue;
        if (!words && is_operator != ((f->flags & FUNCTION_OPERATOR) != 0)) continue;
        if (count < most) found[count] = f;
        count++;
    }
    return count < most ? count : most;
}

const Function *cast_between(TypeKind from, TypeKind to) {
    pthread_once(&once, make_index);
    return casts[from][to];
}

const Function *cast_for_assignment(TypeKind from, TypeKind to) {
    pthread_once(&once, make_index);
    return assignment_casts[from][to] ? assignment_casts[from][to] : casts[from][to];
}
