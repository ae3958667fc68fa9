/* The JSON schema of what a command gives under -json. */
#include "cli/help.h"
#include "kvsh/json.h"

const char *help_json_type(enum out_type type)
{
    static const char *const names[] = {
        [OUT_STR] = "string",      [OUT_INT] = "integer",      [OUT_BOOL] = "boolean",
        [OUT_TIME] = "string",     [OUT_DURATION] = "integer", [OUT_BYTES] = "integer",
        [OUT_PERCENT] = "integer", [OUT_LIST] = "array",       [OUT_STATE] = "string",
    };

    return names[type];
}

static struct json *typed(const char *type)
{
    struct json *j = json_object();

    json_set_str(j, "type", type);
    return j;
}

static struct json *described(const char *type, const char *description)
{
    struct json *j = typed(type);

    if (description)
        json_set_str(j, "description", description);
    return j;
}

static struct json *constant(const char *value)
{
    struct json *j = json_object();

    json_set_str(j, "const", value);
    return j;
}

static struct json *column(const struct out_col *col)
{
    struct json *j = described(help_json_type(col->type), col->meaning);

    if (col->type == OUT_TIME)
        json_set_str(j, "format", "date-time");
    if (col->type == OUT_LIST)
        json_set(j, "items", typed("string"));
    return j;
}

static void add_columns(struct json *properties, const struct out_table *table)
{
    for (const struct out_col *c = table->cols; c->key; c++)
        json_set(properties, c->key, column(c));
}

static struct json *rows(const struct out_table *table)
{
    struct json *array = typed("array"), *row = typed("object"), *properties = json_object();

    add_columns(properties, table);
    json_set(row, "properties", properties);
    json_set(array, "items", row);
    return array;
}

static struct json *return_value(const struct cmd *cmd)
{
    struct json *value = typed("object"), *properties = json_object();

    for (const struct out_table *const *t = cmd->tables; t && *t; t++) {
        if ((*t)->single)
            add_columns(properties, *t);
        else
            json_set(properties, (*t)->key, rows(*t));
    }
    json_set(value, "properties", properties);
    return value;
}

struct json *help_schema(const struct cmd *cmd)
{
    static const char *const required[] = {"operation", "returnCode", "description", "returnValue",
                                           "schema"};
    struct json *schema = json_object(), *properties = json_object(), *names = json_array();
    struct json *notes = described("array", "sentences worth knowing beside the result");

    json_set_str(schema, "$schema", "https://json-schema.org/draft/2020-12/schema");
    json_set_str(schema, "title", cmd->name);
    json_set_str(schema, "description", cmd->summary);
    json_set_str(schema, "type", "object");
    for (size_t i = 0; i < sizeof required / sizeof *required; i++)
        json_push_str(names, required[i]);
    json_set(schema, "required", names);
    json_set(properties, "operation", constant(cmd->name));
    json_set(properties, "returnCode", typed("integer"));
    json_set(properties, "description", typed("string"));
    json_set(properties, "advice", described("string", "what to do next, on failure"));
    json_set(properties, "position", described("string", "file and line of a script, on failure"));
    json_set(properties, "returnValue", return_value(cmd));
    json_set(notes, "items", typed("string"));
    json_set(properties, "notes", notes);
    json_set(properties, "schema", constant("kvsh/1"));
    json_set(schema, "properties", properties);
    return schema;
}
