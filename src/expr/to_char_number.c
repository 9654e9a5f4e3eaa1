/* to_char of numbers. A number is first written out with as many digits behind the point as the
 * picture has; then the picture is walked, and each of its digit places takes a blank, a zero or
 * the next digit. Where the sign goes depends on the picture: in front of the first digit by
 * itself, or where S, MI, PL, SG or PR stand. A number with more digits than the picture has places
 * shows # in each. */
#include "data/numeric.h"
#include "expr/library.h"
#include <math.h>
#include <stdio.h>

typedef enum NumberField {
    NUMBER_TEXT, /* what the picture holds besides */
    NUMBER_COMMA,
    NUMBER_POINT,
    NUMBER_ZERO,
    NUMBER_NINE,
    NUMBER_BLANK,
    NUMBER_LOCAL_POINT,
    NUMBER_SCIENTIFIC,
    NUMBER_FILL,
    NUMBER_GROUP,
    NUMBER_CURRENCY,
    NUMBER_MINUS,
    NUMBER_PLUS,
    NUMBER_ANGLE,
    NUMBER_ROMAN,
    NUMBER_ROMAN_SMALL,
    NUMBER_EITHER_SIGN,
    NUMBER_SIGN,
    NUMBER_ORDINAL,
    NUMBER_ORDINAL_SMALL,
    NUMBER_SHIFT,
} NumberField;

typedef struct NumberNode {
    NumberField field;
    Str text;
} NumberNode;

typedef enum SignPlace { SIGN_BY_DIGITS, SIGN_FRONT, SIGN_BACK } SignPlace; /* of S */

typedef struct NumberPicture {
    int count;
    NumberNode *nodes;
    int whole, behind;         /* digit places before and behind the point */
    int shift;                 /* digits behind V */
    int first_zero, last_zero; /* places: 1-based of the first 0 before the point; of the last
                                  anywhere; 0: none */
    int whole_at_sign;         /* digit places before S */
    SignPlace sign_place;
    bool point, zero, fill, sign, angle, minus, plus, roman, shifts, scientific, blank;
    const char *error;
} NumberPicture;

static const struct {
    const char *name;
    NumberField field;
} number_fields[] = {
    {",", NUMBER_COMMA},        {".", NUMBER_POINT},         {"0", NUMBER_ZERO},
    {"9", NUMBER_NINE},         {"B", NUMBER_BLANK},         {"C", NUMBER_TEXT},
    {"D", NUMBER_LOCAL_POINT},  {"EEEE", NUMBER_SCIENTIFIC}, {"FM", NUMBER_FILL},
    {"G", NUMBER_GROUP},        {"L", NUMBER_CURRENCY},      {"MI", NUMBER_MINUS},
    {"PL", NUMBER_PLUS},        {"PR", NUMBER_ANGLE},        {"RN", NUMBER_ROMAN},
    {"rn", NUMBER_ROMAN_SMALL}, {"SG", NUMBER_EITHER_SIGN},  {"SP", NUMBER_TEXT},
    {"S", NUMBER_SIGN},         {"TH", NUMBER_ORDINAL},      {"th", NUMBER_ORDINAL_SMALL},
    {"V", NUMBER_SHIFT},
};

/* Names are in capitals or in small letters throughout. */
static size_t named(const char *at, size_t left, const char *name) {
    size_t size = strlen(name);
    if (size > left) return 0;
    bool same = true, small = true;
    for (size_t i = 0; i < size; i++) {
        char lower = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
        same &= at[i] == name[i];
        small &= at[i] == lower;
    }
    bool cased = strcmp(name, "RN") == 0 ||
                 strcmp(name, "TH") == 0; /* whose small forms have rows of their own */
    return same || (small && !cased) ? size : 0;
}

static const char *add_digit_place(NumberPicture *p, NumberField field) {
    bool zero = field == NUMBER_ZERO;
    if (p->angle) return zero ? "\"0\" must be ahead of \"PR\"" : "\"9\" must be ahead of \"PR\"";
    if (zero && !p->zero && !p->point) p->zero = true, p->first_zero = p->whole + 1;
    if (!zero && p->shifts) p->shift++;
    else if (p->point) p->behind++;
    else p->whole++;
    if (zero) p->last_zero = p->whole + p->behind;
    return NULL;
}

/* The rules of which fields go together; the message where they do not. */
static const char *add_number_field(NumberPicture *p, NumberField field) {
    if (p->scientific && field != NUMBER_SCIENTIFIC && field != NUMBER_TEXT)
        return "\"EEEE\" must be the last pattern used";
    switch (field) {
    case NUMBER_NINE:
    case NUMBER_ZERO: return add_digit_place(p, field);
    case NUMBER_BLANK:
        if (p->whole == 0 && p->behind == 0 && !p->zero) p->blank = true;
        break;
    case NUMBER_POINT:
    case NUMBER_LOCAL_POINT:
        if (p->point) return "multiple decimal points";
        if (p->shifts) return "cannot use \"V\" and decimal point together";
        p->point = true;
        break;
    case NUMBER_FILL: p->fill = true; break;
    case NUMBER_SIGN:
        if (p->sign) return "cannot use \"S\" twice";
        if (p->plus || p->minus || p->angle)
            return "cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together";
        p->sign_place = p->point ? SIGN_BACK : SIGN_FRONT;
        if (!p->point) p->whole_at_sign = p->whole;
        p->sign = true;
        break;
    case NUMBER_MINUS:
        if (p->sign) return "cannot use \"S\" and \"MI\" together";
        p->minus = true;
        break;
    case NUMBER_PLUS:
        if (p->sign) return "cannot use \"S\" and \"PL\" together";
        p->plus = true;
        break;
    case NUMBER_EITHER_SIGN:
        if (p->sign) return "cannot use \"S\" and \"SG\" together";
        p->minus = p->plus = true;
        break;
    case NUMBER_ANGLE:
        if (p->sign || p->plus || p->minus)
            return "cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together";
        p->angle = true;
        break;
    case NUMBER_ROMAN:
    case NUMBER_ROMAN_SMALL: p->roman = true; break;
    case NUMBER_SHIFT:
        if (p->point) return "cannot use \"V\" and decimal point together";
        p->shifts = true;
        break;
    case NUMBER_SCIENTIFIC:
        if (p->scientific) return "cannot use \"EEEE\" twice";
        if (p->blank || p->fill || p->sign || p->angle || p->minus || p->plus || p->roman ||
            p->shifts)
            return "\"EEEE\" is incompatible with other formats";
        p->scientific = true;
        break;
    default: break;
    }
    return NULL;
}

static void number_picture_parse(Str text, NumberPicture *p, Arena *arena) {
    *p = (NumberPicture){.nodes = arena_zero(arena, sizeof(NumberNode) * (text.size + 1))};
    bool quoted = false;
    for (const char *at = text.data, *end = text.data + text.size; at < end && !p->error;) {
        NumberNode *node = &p->nodes[p->count];
        size_t size = 0;
        for (size_t i = 0; !quoted && !size && i < sizeof number_fields / sizeof *number_fields;
             i++) {
            size = named(at, (size_t)(end - at), number_fields[i].name);
            node->field = number_fields[i].field;
        }
        if (size) {
            p->error = add_number_field(p, node->field);
            at += size;
            if (node->field != NUMBER_TEXT) p->count++;
            continue;
        }
        if (*at == '"') {
            quoted = !quoted;
            at++;
            continue;
        }
        if (*at == '\\' && end - at > 1 && (quoted || at[1] == '"')) at++;
        *node = (NumberNode){NUMBER_TEXT, {at, utf8_step(at, end)}};
        at += node->text.size;
        p->count++;
    }
    if (p->first_zero) p->first_zero--; /* from here on places count from 0 */
}

static Status prepare_number(void **state, const Value *const *constants, Type result, Arena *arena,
                             Error *error) {
    (void)result;
    const Str *text = constant_text(constants, 1);
    if (!text) return OK;
    NumberPicture *picture = arena_alloc(arena, sizeof *picture);
    number_picture_parse(*text, picture, arena);
    *state = picture;
    return picture->error ? fail(error, "%s", picture->error) : OK;
}

/* ---- walking the picture ---- */

typedef struct Writer {
    const NumberPicture *p;
    const char *digits, *at; /* the number without its sign; where it is */
    const char *last;        /* the last character that FM keeps; NULL: all */
    char sign;
    int blanks;        /* places before the number begins */
    int place, places; /* now; the last one */
    SignPlace sign_place;
    bool angle, signed_already, inside;
    bool ended; /* a place behind the number's last digit (doubles have 15): nothing follows, as in
                   PostgreSQL */
    Buffer *out;
} Writer;

/* A lone 0 before the point is a blank, as in ' .5'. */
static bool hides_zero(const Writer *w) {
    return !w->p->zero && w->at == w->digits && *w->digits == '0' && w->p->behind != 0;
}

static void add_sign(Writer *w) {
    bool begins = w->place >= w->blanks || (w->p->zero && w->p->first_zero == w->place);
    if (w->signed_already || !begins || (hides_zero(w) && !(w->last && *w->last == '.'))) return;
    if (w->p->sign) {
        if (w->sign_place != SIGN_FRONT) return;
        buffer_add_char(w->out, w->sign);
    } else if (w->angle) buffer_add_char(w->out, w->sign == '+' ? ' ' : '<');
    else if (w->sign == '-') buffer_add_char(w->out, '-');
    else if (!w->p->fill) buffer_add_char(w->out, ' ');
    w->signed_already = true;
}

static void add_digit(Writer *w, NumberField field) {
    bool fill = w->p->fill;
    if (*w->at == '.')
        buffer_add_char(w->out, '.'); /* unless FM cut the point off, which PostgreSQL never does */
    else if (w->last && w->at > w->last && field != NUMBER_ZERO) {
    } else if (hides_zero(w)) {
        if (!fill) buffer_add_char(w->out, ' ');
        else if (w->last && *w->last == '.') buffer_add_char(w->out, '0');
    } else {
        if (*w->at) buffer_add_char(w->out, *w->at);
        else w->ended = true;
        w->inside = true;
    }
    if (*w->at) w->at++;
}

static void add_place(Writer *w, NumberField field) {
    const NumberPicture *p = w->p;
    if (p->roman) return;
    w->inside = false;
    add_sign(w);
    if (w->place < w->blanks && (!p->zero || p->first_zero > w->place)) {
        if (!p->fill) buffer_add_char(w->out, ' ');
    } else if (w->place < w->blanks) {
        buffer_add_char(w->out, '0');
        w->inside = true;
    } else add_digit(w, field);
    int end = w->places + (w->blanks ? 1 : 0) + (p->point ? 1 : 0);
    if (w->last && w->last == w->at) end = w->place;
    if (w->place + 1 == end && !w->ended) {
        if (w->signed_already && w->angle) buffer_add_char(w->out, w->sign == '+' ? ' ' : '>');
        else if (p->sign && w->sign_place == SIGN_BACK) buffer_add_char(w->out, w->sign);
    }
    w->place++;
}

static void add_number_ordinal(Writer *w, bool upper) {
    if (w->p->roman || *w->digits == '#' || w->sign == '-' || w->p->point) return;
    size_t size = strlen(w->digits);
    char last = w->digits[size - 1], before = size > 1 ? w->digits[size - 2] : '0';
    const char *suffix = before == '1' ? "th"
                         : last == '1' ? "st"
                         : last == '2' ? "nd"
                         : last == '3' ? "rd"
                                       : "th";
    for (int i = 0; i < 2; i++) buffer_add_char(w->out, upper ? (char)(suffix[i] - 32) : suffix[i]);
}

static void add_node(Writer *w, const NumberNode *node) {
    bool fill = w->p->fill;
    switch (node->field) {
    case NUMBER_TEXT: buffer_add_str(w->out, node->text); break;
    case NUMBER_NINE:
    case NUMBER_ZERO:
    case NUMBER_POINT:
    case NUMBER_LOCAL_POINT: add_place(w, node->field); break;
    case NUMBER_COMMA:
    case NUMBER_GROUP:
        if (w->inside || !fill) buffer_add_char(w->out, w->inside ? ',' : ' ');
        break;
    case NUMBER_CURRENCY: buffer_add_char(w->out, ' '); break;
    case NUMBER_ROMAN:
    case NUMBER_ROMAN_SMALL:
        for (size_t blanks = strlen(w->digits); blanks < 15 && !fill; blanks++)
            buffer_add_char(w->out, ' ');
        for (const char *c = w->digits; *c; c++)
            buffer_add_char(w->out,
                            node->field == NUMBER_ROMAN || *c == '#' ? *c : (char)(*c | 0x20));
        break;
    case NUMBER_ORDINAL: add_number_ordinal(w, true); break;
    case NUMBER_ORDINAL_SMALL: add_number_ordinal(w, false); break;
    case NUMBER_MINUS:
        if (w->sign == '-' || !fill) buffer_add_char(w->out, w->sign == '-' ? '-' : ' ');
        break;
    case NUMBER_PLUS:
        if (w->sign == '+' || !fill) buffer_add_char(w->out, w->sign == '+' ? '+' : ' ');
        break;
    case NUMBER_EITHER_SIGN:
        if (w->sign) buffer_add_char(w->out, w->sign);
        else w->ended = true; /* a Roman number has none */
        break;
    default: break;
    }
}

/* FM: the last digit behind the point that is no trailing zero (the point itself when there is
 * none), or the last place where the picture has a 0. */
static const char *last_kept(const char *digits, const NumberPicture *p, int blanks) {
    const char *last = strchr(digits, '.');
    if (!last) return NULL;
    for (const char *at = last + 1; *at; at++)
        if (*at != '0') last = at;
    if (p->last_zero > blanks) {
        int place = (int)strlen(digits) - 1;
        if (place > p->last_zero - blanks) place = p->last_zero - blanks;
        if (last < digits + place) last = digits + place;
    }
    return last;
}

static void write_number(const NumberPicture *p, const char *digits, int blanks, char sign,
                         int whole, int behind, Buffer *out) {
    if (p->scientific) {
        buffer_add_text(out, digits);
        return;
    }
    NumberPicture roman = {.count = p->count, .nodes = p->nodes, .fill = p->fill, .roman = true};
    if (p->roman) p = &roman, blanks = 0, whole = behind = 0, sign = 0;
    Writer w = {.p = p,
                .digits = digits,
                .at = digits,
                .sign = sign,
                .blanks = blanks,
                .sign_place = p->sign_place,
                .angle = p->angle,
                .out = out};
    if (p->plus || p->minus) w.signed_already = !(p->plus && !p->minus);
    else {
        if (sign != '-' && p->fill) w.angle = false;
        w.signed_already = sign == '+' && p->fill && !p->sign;
        if (p->sign && p->sign_place == SIGN_FRONT && whole == p->whole_at_sign)
            w.sign_place = SIGN_BACK;
    }
    w.places = behind + whole - 1;
    if (p->fill && p->point) w.last = last_kept(digits, p, blanks);
    if (!w.signed_already && blanks == 0) w.places++;
    for (int i = 0; i < p->count && !w.ended; i++) add_node(&w, &p->nodes[i]);
}

/* ---- writing the number out ---- */

static const char *roman_number(int64_t value, Arena *arena) {
    static const char *const ones[] = {"", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"};
    static const char *const tens[] = {"", "X", "XX", "XXX", "XL", "L", "LX", "LXX", "LXXX", "XC"};
    static const char *const hundreds[] = {"",  "C",  "CC",  "CCC",  "CD",
                                           "D", "DC", "DCC", "DCCC", "CM"};
    static const char *const thousands[] = {"", "M", "MM", "MMM"};
    if (value < 1 || value > 3999) return "###############";
    return arena_format(arena, "%s%s%s%s", thousands[value / 1000], hundreds[value / 100 % 10],
                        tens[value / 10 % 10], ones[value % 10]);
}

/* Places the plain decimal `text` (with its sign) into the picture. */
static void write_decimal(const NumberPicture *p, const char *text, int behind, Arena *arena,
                          Buffer *out) {
    char sign = *text == '-' ? '-' : '+';
    if (*text == '-') text++;
    int whole = p->whole + (p->shifts ? p->shift : 0);
    const char *point = strchr(text, '.');
    int size = (int)(point ? point - text : (int64_t)strlen(text)), blanks = 0;
    if (size < whole) blanks = whole - size;
    else if (size > whole) {
        char *hashes = arena_alloc(arena, (size_t)(whole + behind) + 2);
        memset(hashes, '#', (size_t)(whole + behind) + 1);
        hashes[whole] = '.';
        hashes[whole + behind + 1] = 0;
        text = hashes;
    }
    write_number(p, text, blanks, sign, whole, behind, out);
}

static const char *not_a_number(const NumberPicture *p, Arena *arena) { /* in scientific notation */
    size_t size = (size_t)(p->whole + p->behind) + 6;
    char *text = arena_alloc(arena, size + 1);
    memset(text, '#', size);
    text[0] = ' ', text[p->whole + 1] = '.', text[size] = 0;
    return text;
}

static const char *scientific(double value, int digits, Arena *arena) {
    char *text = arena_format(arena, "%+.*e", digits, value);
    if (*text == '+') *text = ' ';
    return text;
}

static void write_double(const NumberPicture *p, double value, bool single, Arena *arena,
                         Buffer *out) {
    if (p->roman) {
        bool fits = value >= -1 && value <= 4000; /* false for NaN */
        write_number(p, roman_number(fits ? (int64_t)rint(value) : 0, arena), 0, '+', 0, 0, out);
        return;
    }
    if (p->scientific) {
        bool finite = !isnan(value) && !isinf(value);
        write_number(p, finite ? scientific(value, p->behind, arena) : not_a_number(p, arena), 0,
                     '+', 0, 0, out);
        return;
    }
    int most = single ? 6 : 15, behind = p->behind;
    if (p->shifts) value *= pow(10, p->shift);
    if (single) value = (float)value;
    if (isnan(value) || isinf(value)) {
        const char *text = isnan(value) ? "NaN" : value < 0 ? "-Infinity" : "Infinity";
        int room = most - (isnan(value) ? 3 : 8);
        write_decimal(p, text, room < 0 ? 0 : room < behind ? room : behind, arena, out);
        return;
    }
    int size = snprintf(NULL, 0, "%.0f", fabs(value));
    if (size >= most) behind = 0;
    else if (size + behind > most) behind = most - size;
    write_decimal(p, arena_format(arena, "%.*f", behind, value), behind, arena, out);
}

/* numeric in scientific notation, rounded from all of its digits. */
static const char *scientific_numeric(Str value, int digits, Arena *arena) {
    Buffer text = {0}, made = {0};
    numeric_text(value, &text);
    buffer_add_char(&text, 0);
    const char *at = text.data;
    bool negative = *at == '-';
    if (negative) at++;
    const char *first = at + strspn(at, "0.");
    const char *point = strchr(at, '.');
    if (!point) point = at + strlen(at);
    int64_t exponent = !*first ? 0 : first < point ? point - first - 1 : point - first;
    Buffer *d = &made; /* significant digits, one more than wanted counts for rounding */
    for (const char *c = first; *c; c++)
        if (*c != '.') buffer_add_char(d, *c);
    size_t wanted = (size_t)digits + 1;
    bool up = d->size > wanted && d->data[wanted] >= '5';
    while (d->size < wanted) buffer_add_char(d, '0');
    d->size = wanted;
    for (size_t i = wanted; up && i > 0; i--) {
        up = d->data[i - 1] == '9';
        d->data[i - 1] = up ? '0' : (char)(d->data[i - 1] + 1);
    }
    /* A carry out of the first digit gives 10.00e+01, as PostgreSQL 15 does. */
    const char *result =
        arena_format(arena, "%c%s%c%s%.*s%s%02lld", negative ? '-' : ' ', up ? "1" : "", d->data[0],
                     digits ? "." : "", digits, d->data + 1, exponent < 0 ? "e-" : "e+",
                     (long long)(exponent < 0 ? -exponent : exponent));
    buffer_free(&text);
    buffer_free(&made);
    return result;
}

static Status write_numeric(const NumberPicture *p, Str value, Arena *arena, Buffer *out,
                            Error *error) {
    Buffer text = {0};
    Status status = OK;
    numeric_text(value, &text);
    bool special =
        text.size && (text.data[text.size - 1] == 'N' || text.data[text.size - 1] == 'y');
    int64_t whole;
    if (p->roman) {
        if (special)
            status = reject(error, text.data[text.size - 1] == 'N'
                                       ? "cannot convert NaN to integer"
                                       : "cannot convert infinity to integer");
        else status = numeric_to_int64(value, &whole, error);
        if (status != OK || whole != (int32_t)whole) {
            buffer_free(&text);
            return special ? status : reject(error, "integer out of range");
        }
        write_number(p, roman_number(whole, arena), 0, '+', 0, 0, out);
    } else if (p->scientific) {
        write_number(p,
                     special ? not_a_number(p, arena) : scientific_numeric(value, p->behind, arena),
                     0, '+', 0, 0, out);
    } else {
        if (p->shifts) {
            Str shift = numeric_from_int64(10, arena);
            status =
                numeric_power(shift, numeric_from_int64(p->shift, arena), &shift, arena, error);
            if (status == OK) status = numeric_multiply(value, shift, &value, arena, error);
        }
        if (status == OK) status = numeric_round(value, p->behind, &value, arena, error);
        text.size = 0;
        if (status == OK) {
            numeric_text(value, &text);
            write_decimal(p, arena_text(arena, buffer_str(&text)), p->behind, arena, out);
        }
    }
    buffer_free(&text);
    return status;
}

static Status write_integer(const NumberPicture *p, int64_t value, bool wide, Arena *arena,
                            Buffer *out, Error *error) {
    if (p->roman) write_number(p, roman_number(value, arena), 0, '+', 0, 0, out);
    else if (p->scientific)
        write_number(p,
                     wide ? scientific_numeric(numeric_from_int64(value, arena), p->behind, arena)
                          : scientific((double)value, p->behind, arena),
                     0, '+', 0, 0, out);
    else {
        for (int i = 0; i < p->shift; i++)
            if (__builtin_mul_overflow(value, 10, &value) || (!wide && value != (int32_t)value))
                return reject(error, wide ? "bigint out of range" : "integer out of range");
        char *text = arena_format(arena, "%lld%s", (long long)value, p->behind ? "." : "");
        if (p->behind) {
            size_t size = strlen(text);
            char *zeros = arena_alloc(arena, size + (size_t)p->behind + 1);
            memcpy(zeros, text, size);
            memset(zeros + size, '0', (size_t)p->behind);
            zeros[size + (size_t)p->behind] = 0;
            text = zeros;
        }
        write_decimal(p, text, p->behind, arena, out);
    }
    return OK;
}

static void number_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    TypeKind type = args[0]->type.kind;
    Buffer made = {0};
    EACH_OK_ROW(row) {
        NumberPicture own;
        const NumberPicture *p = call->state;
        if (!p) {
            number_picture_parse(args[1]->strs[row], &own, call->arena);
            p = &own;
        }
        Error error;
        Status status = OK;
        made.size = 0;
        if (p->error) status = reject(&error, "%s", p->error);
        else if (type == TYPE_NUMERIC)
            status = write_numeric(p, args[0]->strs[row], call->arena, &made, &error);
        else if (type_is_integer(type))
            status =
                write_integer(p, args[0]->ints[row], type == TYPE_INT8, call->arena, &made, &error);
        else write_double(p, args[0]->floats[row], type == TYPE_FLOAT4, call->arena, &made);
        if (status != OK) column_fail(call, out, row, "%s", error.text);
        else set_text(call, out, row, &made);
    }
    buffer_free(&made);
}

#define S FUNCTION_STRICT
#define T TYPE_TEXT
#define HELP "to_char(number, picture): 9 0 . , D G S MI PL SG PR RN TH V EEEE FM B L"
const Function to_char_number_functions[] = {
    {"to_char", T, 2, {TYPE_INT4, T}, S, number_kernel, prepare_number, HELP},
    {"to_char", T, 2, {TYPE_INT8, T}, S, number_kernel, prepare_number, HELP},
    {"to_char", T, 2, {TYPE_NUMERIC, T}, S, number_kernel, prepare_number, HELP},
    {"to_char", T, 2, {TYPE_FLOAT4, T}, S, number_kernel, prepare_number, HELP},
    {"to_char", T, 2, {TYPE_FLOAT8, T}, S, number_kernel, prepare_number, HELP},
    {0},
};
