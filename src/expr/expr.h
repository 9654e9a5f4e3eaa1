/* Expressions. The binder (sql/) builds a typed tree of Expr out of function rows; program_new
 * compiles a tree list once into a flat list of steps over columns; program_run evaluates a batch.
 * Everything is evaluated for every row: NULL and errors travel as value states (data/batch.h), so
 * CASE, AND, OR and coalesce pick states, and no step needs a mask. */
#pragma once
#include "data/schema.h"
#include "data/value.h"

typedef struct Function Function;

typedef enum ExprKind {
    EXPR_CONSTANT, /* value */
    EXPR_COLUMN,   /* column: index into the input batch's visible columns */
    EXPR_HIDDEN,   /* hidden: one of HiddenColumn */
    EXPR_CALL,     /* function over args */
    EXPR_AND, /* args, left to right: false wins over a later error, an error over what follows */
    EXPR_OR,
    EXPR_NOT,
    EXPR_CASE, /* args: condition, result, condition, result, …, [else]; arg_count odd when there is
                  an else */
    EXPR_COALESCE, /* args of one type */
    EXPR_IS_NULL,  /* one arg */
    EXPR_IS_NOT_NULL,
    EXPR_IN, /* args[0] IN (constants args[1…] of the same type): NULL logic as PostgreSQL's */
} ExprKind;

typedef enum HiddenColumn {
    HIDDEN_NOW,        /* timestamptz: batch->taken_us */
    HIDDEN_EVENT_TIME, /* timestamptz */
    HIDDEN_POSITION,   /* bigint */
    HIDDEN_PARTITION,  /* int */
} HiddenColumn;

typedef struct Expr Expr;
struct Expr {
    ExprKind kind;
    Type type;  /* of the result */
    int column; /* EXPR_COLUMN */
    HiddenColumn hidden;
    Value value; /* EXPR_CONSTANT */
    const Function *function;
    int arg_count;
    Expr **args;
    int line,
        place; /* where in the pipeline file (line, 1-based column), for messages; 0: nowhere */
};

/* ---- what a kernel sees ---- */

typedef struct Call {
    Arena *arena;       /* of the batch: strings of results go here */
    RowErrors *errors;  /* row_error() besides setting VALUE_ERROR */
    const Batch *batch; /* for volatile functions; may be NULL when folding constants */
    void *state;        /* what function->prepare made, or NULL */
    Type result;        /* with modifier: for casts */
    int arg_count;
    int rows;         /* of the columns */
    int64_t taken_us; /* now() */
    struct Env
        *env; /* random numbers; NULL when folding constants (volatile functions are not folded) */
} Call;

/* Fills out->values for `rows` rows. `out` is a fresh column. For a STRICT function out->states is
 * set before the call (NULL column states when every row is OK) by the states of the arguments, and
 * the kernel must not touch rows whose state is not VALUE_OK; it may turn OK rows into VALUE_NULL
 * or VALUE_ERROR through column_fail / column_null. A function that is not STRICT sees NULL
 * arguments itself (rows where an argument is VALUE_ERROR are errors already). */
typedef void (*Kernel)(Call *, int rows, const Column *const *args, Column *out);

void column_fail(Call *, Column *out, int row, const char *format, ...)
    PRINTF(4, 5); /* the row's value is an error */
void column_null(Call *, Column *out, int row);

enum {                         /* Function.flags */
       FUNCTION_STRICT = 1,    /* NULL in, NULL out */
       FUNCTION_VOLATILE = 2,  /* random(), gen_random_uuid(): never folded, not replayable */
       FUNCTION_STABLE = 4,    /* now() and its kin: not folded; the same for a chunk */
       FUNCTION_VARIADIC = 8,  /* the last argument type may come any number of times (also none) */
       FUNCTION_OPERATOR = 16, /* name is an operator's: "+", "~", "->>" */
       FUNCTION_CAST = 32,     /* a cast from args[0] to result; name is "cast" */
       FUNCTION_IMPLICIT = 64, /* cast: may be used implicitly in any expression */
       FUNCTION_ASSIGNMENT = 128, /* cast: may be used when assigning (INSERT) */
       FUNCTION_ANY_FIRST = 256,  /* args of kind TYPE_UNKNOWN in the table mean "any type" */
};

enum { FUNCTION_ARGS = 8 };

struct Function {
    const char *name; /* PostgreSQL's, lower case */
    TypeKind result;
    int arg_count;
    TypeKind args[FUNCTION_ARGS]; /* TYPE_UNKNOWN: any type */
    int flags;
    Kernel kernel;
    /* Optional: called once per use with those arguments that are constants (others NULL): compile
     * a regular expression, parse a format. REJECT/FAIL makes the pipeline fail its check. */
    Status (*prepare)(void **state, const Value *const *constants, Type result, Arena *, Error *);
    const char *help; /* one line for docs/sql-functions.md, with PostgreSQL differences; NULL for
                         operators' twins */
};

/* The whole table, made of the tables of each file (arithmetic, text, time …). */
const Function *function_at(int index); /* NULL past the end */
/* All rows of that name (case-insensitively for functions, exactly for operators); returns how
 * many. */
int functions_named(Str name, bool is_operator, const Function **found, int most);
/* The cast function from one type to another, or NULL. Text-like to anything and anything to text
 * exist (explicit). Casts between text and varchar, and those that only check a modifier, are
 * functions too. */
const Function *cast_between(TypeKind from, TypeKind to);
/* The same for INSERT: differs where a value that is too long for varchar(n) is cut by a cast and
 * refused there. */
const Function *cast_for_assignment(TypeKind from, TypeKind to);

/* Build trees: all in `arena`. expr_call folds when all arguments are constants and the function is
 * neither volatile nor stable; a folding that fails leaves the call in place (the error then is
 * each row's). false AND … is false, true OR … true. */
Expr *expr_constant(Arena *, Value);
Expr *expr_column(Arena *, int column, Type);
Expr *expr_call(Arena *, const Function *, Type result, Expr **args, int arg_count);
/* A strict function of a constant NULL is NULL, whatever its other arguments do; else `e`. */
Expr *expr_strict(Arena *, Expr *e);
Expr *expr_of(Arena *, ExprKind, Type, Expr **args, int arg_count); /* AND, OR, CASE … */
bool expr_equal(const Expr *,
                const Expr *); /* same tree, for GROUP BY matching; places do not count */
/* Flags of all functions in the tree, or-ed (FUNCTION_VOLATILE, FUNCTION_STABLE). */
int expr_flags(const Expr *);
void expr_text(const Expr *, const Schema *input,
               Buffer *out); /* for explain and plan hashes: stable, readable */

/* ---- programs ---- */

typedef struct Program Program;

/* Compiles `count` expressions that share common parts. The trees must outlive the program. */
CHECKED Status program_new(Expr *const *exprs, int count, struct Env *, Program **out, Error *);
void program_free(Program **);
/* Evaluates into outputs[count] (columns in the batch's arena; a plain column expression gives the
 * input's column itself). Errors are VALUE_ERROR states with their reasons added to `errors`. */
void program_run(Program *, const Batch *, Arena *, RowErrors *errors, Column *outputs);
