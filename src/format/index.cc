/* simdjson's first stage alone: vector instructions find where the structure of a text is and check
 * UTF-8. Its on-demand front end is not used, because a record here is judged by its whole
 * structure and by the columns that are read, and by nothing else: json.c walks the index itself,
 * which is less work than on-demand's iterators and reads no byte behind a record, so that no
 * padding is needed. A text of many records is indexed at once as long as all of them are right;
 * that halves the cost of short records. */
#include "format/index.h"
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <simdjson.h>

namespace {
constexpr size_t usual_bytes = 256 << 10; /* of a window, see json.c */
}

struct JsonIndex {
    std::unique_ptr<simdjson::internal::dom_parser_implementation> stage;
};

static void reserve(JsonIndex *index, size_t size) {
    if (index->stage->set_capacity(size) == simdjson::SUCCESS) return;
    std::fprintf(stderr, "out of memory: the index of %zu bytes of JSON\n", size);
    std::abort();
}

JsonIndex *json_index_new(void) {
    auto *index = new JsonIndex;
    auto error = simdjson::get_active_implementation()->create_dom_parser_implementation(
        usual_bytes, 1, index->stage);
    if (error) {
        std::fprintf(stderr, "simdjson can not start: %s\n", simdjson::error_message(error));
        std::abort();
    }
    return index;
}

void json_index_free(JsonIndex **index) {
    delete *index;
    *index = nullptr;
}

void json_index_shrink(JsonIndex *index) {
    if (index->stage->capacity() > usual_bytes) reserve(index, usual_bytes);
}

const char *json_index_run(JsonIndex *index, const char *text, size_t size,
                           const uint32_t **offsets, size_t *count) {
    auto &stage = *index->stage;
    if (size > stage.capacity()) reserve(index, size);
    *count = 0;
    auto error =
        stage.stage1(reinterpret_cast<const uint8_t *>(text), size, simdjson::stage1_mode::regular);
    switch (error) {
    case simdjson::SUCCESS: break;
    case simdjson::EMPTY: return nullptr;
    case simdjson::UTF8_ERROR: return "not UTF-8";
    case simdjson::UNCLOSED_STRING: return "a string is not closed";
    case simdjson::UNESCAPED_CHARS:
        return utf8_ok(text, size) ? "a string is not closed, or holds a control character"
                                   : "not UTF-8";
    default: return simdjson::error_message(error);
    }
    *offsets = stage.structural_indexes.get();
    *count = stage.n_structural_indexes;
    return nullptr;
}

bool utf8_ok(const char *text, size_t size) { return simdjson::validate_utf8(text, size); }

bool double_from_json(const char *text, size_t size, double *out) {
    auto result = std::from_chars(text, text + size, *out);
    return result.ec == std::errc() && result.ptr == text + size;
}

bool float_from_json(const char *text, size_t size, double *out) {
    float value = 0;
    auto result = std::from_chars(text, text + size, value);
    *out = value;
    return result.ec == std::errc() && result.ptr == text + size;
}
