/* Remedies for names that are not there: functions of other systems, functions that come later,
 * operands that do not fit. */
#include "sql/binder.h"

typedef struct NameRemedy {
    const char *names; /* '|' between them */
    const char *remedy;
} NameRemedy;

static const NameRemedy functions[] = {
    {"ifnull|nvl|isnull", "write coalesce(a, b)"},
    {"if|iif|iff", "write CASE WHEN condition THEN a ELSE b END"},
    {"len", "write length(text)"},
    {"charindex|instr|locate|position", "write position(part in text) or strpos(text, part)"},
    {"tumbling_window|tumblingwindow|tumble_start|tumble_end|window",
     "windows stand in FROM: FROM tumble(t, time, INTERVAL '1 minute') GROUP BY window_start"},
    {"hoppingwindow|slidingwindow|hop_start|hop_end",
     "windows stand in FROM: FROM hop(t, time, INTERVAL '10 seconds', INTERVAL '1 minute') GROUP "
     "BY window_start"},
    {"sessionwindow|session_start|session_end|session_window",
     "windows stand in FROM: FROM session(t, time, INTERVAL '5 minutes', partition_by => key) "
     "GROUP BY key, window_start"},
    {"datediff|timestampdiff|dateadd|date_add|date_sub|date_diff",
     "times are subtracted and intervals added: a - b, a + INTERVAL '1 day'"},
    {"getdate|sysdate|current_watermark|proctime|system", "write now()"},
    {"unix_timestamp|to_unix_timestamp|epoch", "write extract(epoch FROM time)"},
    {"from_unixtime|to_datetime|timestamp_millis|to_timestamp_ltz", "write to_timestamp(seconds)"},
    {"json_value|json_extract|json_extract_string|json_extract_path_text|get_json_object|"
     "getrecordpropertyvalue|json_query",
     "write column ->> 'key', or a path column.key"},
    {"json_array_length|json_typeof|json_build_object|to_json|row_to_json|json_object|json_build_"
     "array",
     "write the jsonb function: jsonb_array_length, jsonb_typeof, jsonb_build_object, to_jsonb"},
    {"year|month|day|hour|minute|second|quarter|week|dayofweek|dayofyear",
     "write extract(year FROM time), with month, day, hour … in the place of year"},
    {"date_format|format_date|format_timestamp|strftime|dateformat",
     "write to_char(time, 'YYYY-MM-DD')"},
    {"substring_index", "write split_part(text, separator, n)"},
    {"ucase", "write upper(text)"},
    {"lcase", "write lower(text)"},
    {"rand", "write random()"},
    {"uuid|uuid_generate_v4|newid", "write gen_random_uuid()"},
    {"any_value", "take first_value, last_value, min or max"},
    {"countif|count_if", "write count(*) FILTER (WHERE condition)"},
    {"sumif|sum_if", "write sum(x) FILTER (WHERE condition)"},
    {"approx_distinct|uniq|hll", "write count(DISTINCT x)"},
    {"try_cast|safe_cast", "a value that does not cast makes its row a dead letter; write CASE "
                           "WHEN x ~ '^[0-9]+$' THEN x::int END"},
    {"unnest|generate_series|jsonb_array_elements|jsonb_array_elements_text|jsonb_each|jsonb_each_"
     "text|jsonb_object_keys|regexp_matches|regexp_split_to_table|explode|flatten|string_to_table",
     "it gives several rows of one, which Leat does not have"},
    {"current_setting|version|pg_sleep|pg_typeof|current_database",
     "it asks a PostgreSQL server, and there is none"},
};

static const char later[] =
    "|approx_count_distinct|percentile_cont|percentile_disc|approx_percentile|string_agg|array_agg|"
    "jsonb_agg|json_agg|jsonb_object_agg|json_object_agg|mode|corr|covar_pop|covar_samp|regr_slope|"
    "row_number|rank|dense_rank|lag|lead|ntile|nth_value|percent_rank|cume_dist|bit_and|bit_or|bit_"
    "xor|";

static bool is_among(const char *names, const char *name) {
    for (const char *at = names; *at;) {
        size_t size = strcspn(at, "|");
        if (size > 0 && str_equal((Str){at, size}, str_from(name))) return true;
        at += size + (at[size] == '|');
    }
    return false;
}

const char *function_remedy(const char *name) {
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (is_among(functions[i].names, name)) return functions[i].remedy;
    return NULL;
}

bool function_comes_later(const char *name) { return is_among(later, name); }

const char *operator_remedy(Scope *scope, const char *name, TypeKind left, TypeKind right) {
    if (strcmp(name, "==") == 0) return "write a = b";
    if (strcmp(name, "&&") == 0) return "write a AND b";
    if (strcmp(name, "!") == 0) return "write NOT a";
    if (strcmp(name, "=~") == 0) return "write text ~ 'pattern'";
    if (strcmp(name, "**") == 0) return "write a ^ b or power(a, b)";
    if (strcmp(name, "<=>") == 0) return "write a IS NOT DISTINCT FROM b";
    if (left == TYPE_JSONB || right == TYPE_JSONB)
        return "a part of a jsonb is read as text and cast: (column ->> 'key')::double precision";
    bool strings = type_is_string(left) || type_is_string(right);
    if (strings && *name == '+' && name[1] == 0 && type_is_string(left) && type_is_string(right))
        return "text is joined by ||";
    if (strings && (type_is_number(left) || type_is_number(right))) {
        TypeKind number = type_is_number(left) ? left : right;
        return arena_format(scope->arena, "cast the text: column::%s", kind_name(scope, number));
    }
    bool times = type_category(left) == 'D' || type_category(right) == 'D';
    if (times && strings)
        return arena_format(scope->arena, "cast the text: column::%s",
                            kind_name(scope, type_category(left) == 'D' ? left : right));
    if (times && (type_is_number(left) || type_is_number(right)))
        return "add an interval to a time: time + INTERVAL '5 minutes'";
    if (left == TYPE_FLOAT8 && strcmp(name, "%") == 0) return "cast to numeric: a::numeric % b";
    return "cast an operand to the type that is meant: column::type";
}
