/* ${NAME}, ${NAME:-default} and ${file:PATH} in string literals. They are replaced in the tree,
 * behind the parser, so that no value can ever become SQL. Options keep their text as written
 * beside the replaced one: a connector that connects anew reads secret files anew. */
#include "base/variables.h"
#include "sql/tree.h"

Status replace_variables(Catalog *c, int location, const char *text, const char **out,
                         Error *error) {
    *out = text;
    if (!strstr(text, "${")) return OK;
    Buffer buffer = {0};
    Error wrong;
    Status status = variables_replace(text, &buffer, &wrong);
    if (status == OK) *out = arena_text(c->arena, buffer_str(&buffer));
    else status = error_at(c, location, error, "%s", wrong.text);
    buffer_free(&buffer);
    return status;
}
