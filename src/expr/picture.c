/* Takes pictures of dates and times apart. A field's name is written in capitals or in small
 * letters throughout (month and day names also as Month, Day); the longest name that fits counts.
 * FM and TM may stand before a field, TH behind it. Text in double quotes stands for itself. */
#include "expr/picture.h"

typedef struct Keyword {
    const char *name;
    PictureField field;
    uint8_t digits;
    bool is_number, titled, dotted;
} Keyword;

/* Of names that begin alike the longer comes first. */
static const Keyword keywords[] = {
    {"A.D.", PICTURE_AD, 0, false, false, true},
    {"A.M.", PICTURE_AM, 0, false, false, true},
    {"AD", PICTURE_AD, 0, false, false, false},
    {"AM", PICTURE_AM, 0, false, false, false},
    {"B.C.", PICTURE_AD, 0, false, false, true},
    {"BC", PICTURE_AD, 0, false, false, false},
    {"CC", PICTURE_CENTURY, 2, true, false, false},
    {"DAY", PICTURE_DAY_NAME, 0, false, true, false},
    {"DDD", PICTURE_DAY_OF_YEAR, 3, true, false, false},
    {"DD", PICTURE_DAY, 2, true, false, false},
    {"DY", PICTURE_DAY_SHORT, 0, false, true, false},
    {"D", PICTURE_WEEKDAY, 1, true, false, false},
    {"FF1", PICTURE_FRACTION, 1, true, false, false},
    {"FF2", PICTURE_FRACTION, 2, true, false, false},
    {"FF3", PICTURE_FRACTION, 3, true, false, false},
    {"FF4", PICTURE_FRACTION, 4, true, false, false},
    {"FF5", PICTURE_FRACTION, 5, true, false, false},
    {"FF6", PICTURE_FRACTION, 6, true, false, false},
    {"FX", PICTURE_FIXED, 0, false, false, false},
    {"HH24", PICTURE_HOUR24, 2, true, false, false},
    {"HH12", PICTURE_HOUR12, 2, true, false, false},
    {"HH", PICTURE_HOUR12, 2, true, false, false},
    {"IDDD", PICTURE_ISO_DAY_OF_YEAR, 3, true, false, false},
    {"ID", PICTURE_ISO_WEEKDAY, 1, true, false, false},
    {"IW", PICTURE_ISO_WEEK, 2, true, false, false},
    {"IYYY", PICTURE_ISO_YEAR, 4, true, false, false},
    {"IYY", PICTURE_ISO_YEAR, 3, true, false, false},
    {"IY", PICTURE_ISO_YEAR, 2, true, false, false},
    {"I", PICTURE_ISO_YEAR, 1, true, false, false},
    {"J", PICTURE_JULIAN, 1, true, false, false},
    {"MI", PICTURE_MINUTE, 2, true, false, false},
    {"MM", PICTURE_MONTH, 2, true, false, false},
    {"MONTH", PICTURE_MONTH_NAME, 0, false, true, false},
    {"MON", PICTURE_MONTH_SHORT, 0, false, true, false},
    {"MS", PICTURE_MILLISECOND, 3, true, false, false},
    {"OF", PICTURE_OFFSET, 0, false, false, false},
    {"P.M.", PICTURE_AM, 0, false, false, true},
    {"PM", PICTURE_AM, 0, false, false, false},
    {"Q", PICTURE_QUARTER, 1, true, false, false},
    {"RM", PICTURE_ROMAN_MONTH, 0, false, false, false},
    {"SSSSS", PICTURE_SECOND_OF_DAY, 5, true, false, false},
    {"SSSS", PICTURE_SECOND_OF_DAY, 4, true, false, false},
    {"SS", PICTURE_SECOND, 2, true, false, false},
    {"TZH", PICTURE_ZONE_HOUR, 2, false, false, false},
    {"TZM", PICTURE_ZONE_MINUTE, 2, true, false, false},
    {"TZ", PICTURE_ZONE, 0, false, false, false},
    {"US", PICTURE_MICROSECOND, 6, true, false, false},
    {"WW", PICTURE_WEEK_OF_YEAR, 2, true, false, false},
    {"W", PICTURE_WEEK_OF_MONTH, 1, true, false, false},
    {"Y,YYY", PICTURE_YEAR_COMMA, 4, true, false, false},
    {"YYYY", PICTURE_YEAR, 4, true, false, false},
    {"YYY", PICTURE_YEAR, 3, true, false, false},
    {"YY", PICTURE_YEAR, 2, true, false, false},
    {"Y", PICTURE_YEAR, 1, true, false, false},
};

const char *const month_names[12] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};
const char *const day_names[7] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                  "Thursday", "Friday", "Saturday"};
const char *const roman_months[12] = {"I",   "II",   "III", "IV", "V",  "VI",
                                      "VII", "VIII", "IX",  "X",  "XI", "XII"};

static char small(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

static bool spelled(const char *at, size_t left, const char *name, PictureCase letters) {
    for (size_t i = 0; name[i]; i++) {
        bool upper = letters == CASE_UPPER || (letters == CASE_TITLE && i == 0);
        if (i >= left || at[i] != (upper ? name[i] : small(name[i]))) return false;
    }
    return true;
}

static const Keyword *find_keyword(const char *at, size_t left, PictureCase *letters) {
    for (size_t k = 0; k < sizeof keywords / sizeof *keywords; k++) {
        const Keyword *keyword = &keywords[k];
        for (PictureCase c = CASE_UPPER; c <= CASE_LOWER; c++) {
            if ((c == CASE_TITLE && !keyword->titled) || !spelled(at, left, keyword->name, c))
                continue;
            *letters = c;
            return keyword;
        }
    }
    return NULL;
}

static bool is_pair(const char *at, const char *end, const char *upper, bool *capitals) {
    if (end - at < 2) return false;
    *capitals = at[0] == upper[0] && at[1] == upper[1];
    return *capitals || (at[0] == small(upper[0]) && at[1] == small(upper[1]));
}

static PictureKind kind_of(char c) {
    if (c == ' ' || (c >= '\t' && c <= '\r')) return PICTURE_SPACE;
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return c > ' ' && c < 0x7f && !letter ? PICTURE_SEPARATOR : PICTURE_CHARACTER;
}

static void picture_parse(Str text, Picture *picture, Arena *arena) {
    const char *at = text.data, *end = text.data + text.size;
    *picture = (Picture){0, arena_zero(arena, sizeof(PictureNode) * (text.size + 1))};
    bool quoted = false;
    while (at < end) {
        PictureNode *node = &picture->nodes[picture->count];
        *node = (PictureNode){0};
        if (!quoted) {
            bool capitals, translated = false;
            if (is_pair(at, end, "FM", &capitals)) node->fill = true, at += 2;
            else if (is_pair(at, end, "TM", &capitals))
                translated = true, at += 2; /* English here */
            const Keyword *keyword = find_keyword(at, (size_t)(end - at), &node->letters);
            if (keyword) {
                size_t size = strlen(keyword->name);
                node->kind = PICTURE_FIELD, node->field = keyword->field,
                node->digits = keyword->digits;
                node->fill |= translated && keyword->titled; /* without blanks behind it */
                node->is_number = keyword->is_number, node->dotted = keyword->dotted;
                node->text = (Str){at, size};
                at += size;
                if (is_pair(at, end, "TH", &node->th_upper)) node->ordinal = true, at += 2;
                else if (is_pair(at, end, "SP", &capitals))
                    at += 2; /* known and without effect, as in PostgreSQL */
                picture->count++;
                continue;
            }
            if (at >= end) break;
            if (*at == '"') {
                quoted = true;
                at++;
                continue;
            }
            if (*at == '\\' && end - at > 1 && at[1] == '"') at++;
            node->kind = kind_of(*at);
        } else if (*at == '"') {
            quoted = false;
            at++;
            continue;
        } else {
            if (*at == '\\' && end - at > 1) at++;
            node->kind = PICTURE_CHARACTER;
        }
        node->text = (Str){at, utf8_step(at, end)};
        at += node->text.size;
        picture->count++;
    }
}

Status prepare_picture(void **state, const Value *const *constants, Type result, Arena *arena,
                       Error *error) {
    (void)result, (void)error;
    const Str *text = constant_text(constants, 1);
    if (!text) return OK;
    Picture *picture = arena_alloc(arena, sizeof *picture);
    picture_parse(*text, picture, arena);
    *state = picture;
    return OK;
}

const Picture *call_picture(const Call *call, const Column *column, int row) {
    if (call->state) return call->state;
    Picture *picture = arena_alloc(call->arena, sizeof *picture);
    picture_parse(column->strs[row], picture, call->arena);
    return picture;
}

void add_ordinal(Buffer *out, size_t begin, bool upper) {
    if (out->size == begin) return;
    char last = out->data[out->size - 1];
    if (last < '0' || last > '9') return;
    if (out->size - begin > 1 && out->data[out->size - 2] == '1') last = '0';
    const char *suffix = last == '1' ? "ST" : last == '2' ? "ND" : last == '3' ? "RD" : "TH";
    for (; *suffix; suffix++) buffer_add_char(out, upper ? *suffix : small(*suffix));
}
