/* The pictures of to_char, to_timestamp and to_date ('YYYY-MM-DD HH24:MI:SS'), taken apart. */
#pragma once
#include "expr/library.h"

typedef enum PictureField {
    PICTURE_NONE,
    PICTURE_AD,
    PICTURE_AM,
    PICTURE_CENTURY,
    PICTURE_DAY_NAME,
    PICTURE_DAY_SHORT,
    PICTURE_DAY_OF_YEAR,
    PICTURE_DAY,
    PICTURE_WEEKDAY,
    PICTURE_FRACTION, /* FF1 … FF6: digits in PictureNode.digits */
    PICTURE_FIXED,    /* FX */
    PICTURE_HOUR24,
    PICTURE_HOUR12,
    PICTURE_ISO_DAY_OF_YEAR,
    PICTURE_ISO_WEEKDAY,
    PICTURE_ISO_WEEK,
    PICTURE_ISO_YEAR, /* digits: 4 … 1 */
    PICTURE_JULIAN,
    PICTURE_MINUTE,
    PICTURE_MONTH,
    PICTURE_MONTH_NAME,
    PICTURE_MONTH_SHORT,
    PICTURE_MILLISECOND,
    PICTURE_OFFSET,
    PICTURE_QUARTER,
    PICTURE_ROMAN_MONTH,
    PICTURE_SECOND_OF_DAY,
    PICTURE_SECOND,
    PICTURE_ZONE_HOUR,
    PICTURE_ZONE_MINUTE,
    PICTURE_ZONE,
    PICTURE_MICROSECOND,
    PICTURE_WEEK_OF_YEAR,
    PICTURE_WEEK_OF_MONTH,
    PICTURE_YEAR_COMMA, /* Y,YYY */
    PICTURE_YEAR,       /* digits: 4 … 1 */
} PictureField;

typedef enum PictureCase { CASE_UPPER, CASE_TITLE, CASE_LOWER } PictureCase;
typedef enum PictureKind {
    PICTURE_FIELD,
    PICTURE_SPACE,
    PICTURE_SEPARATOR,
    PICTURE_CHARACTER
} PictureKind;

typedef struct PictureNode {
    PictureKind kind;
    PictureField field;
    PictureCase letters;
    uint8_t digits;
    bool is_number;         /* of digits, so that a field right behind needs its exact width */
    bool fill;              /* FM: no blanks, no zeros in front */
    bool ordinal, th_upper; /* th, TH behind it */
    bool dotted;            /* A.M., B.C. */
    Str text;               /* the name as it was written, or the character */
} PictureNode;

typedef struct Picture {
    int count;
    PictureNode *nodes;
} Picture;

/* For prepare: the picture of constant argument 1. */
CHECKED Status prepare_picture(void **state, const Value *const *constants, Type result, Arena *,
                               Error *);
const Picture *call_picture(const Call *, const Column *, int row);

extern const char *const month_names[12], *const day_names[7]; /* January, Sunday */
extern const char *const roman_months[12];                     /* I */
/* st, nd, rd, th for the number that was added behind `begin`; nothing where no digit ends it. */
void add_ordinal(Buffer *, size_t begin, bool upper);
