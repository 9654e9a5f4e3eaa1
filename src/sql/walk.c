/* One way to walk libpg_query's tree whatever its messages are: by protobuf's own description of
 * them. */
#include "sql/tree.h"

bool each_child(const ProtobufCMessage *message, bool (*visit)(const ProtobufCMessage *, void *),
                void *context) {
    const ProtobufCMessageDescriptor *type = message->descriptor;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        if (field->type != PROTOBUF_C_TYPE_MESSAGE) continue;
        const char *where = (const char *)message + field->offset;
        const char *quantifier = (const char *)message + field->quantifier_offset;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            ProtobufCMessage *const *items = *(ProtobufCMessage *const *const *)where;
            size_t count = *(const size_t *)quantifier;
            for (size_t k = 0; k < count; k++)
                if (!visit(items[k], context)) return false;
            continue;
        }
        if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF &&
            *(const uint32_t *)quantifier != field->id)
            continue;
        const ProtobufCMessage *inner = *(ProtobufCMessage *const *)where;
        if (inner && !visit(inner, context)) return false;
    }
    return true;
}

int own_location(const ProtobufCMessage *message) {
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, "location");
    if (!field || field->type != PROTOBUF_C_TYPE_INT32) return -1;
    return *(const int32_t *)((const char *)message + field->offset);
}

static bool note_least(const ProtobufCMessage *message, void *context) {
    int *least = context, own = own_location(message);
    if (own >= 0 && (*least < 0 || own < *least)) *least = own;
    return each_child(message, note_least, context);
}

int tree_begin(const ProtobufCMessage *message) {
    int least = -1;
    note_least(message, &least);
    return least;
}

int node_location(const NodeTree *node) {
    if (!node || node->node_case == PG_QUERY__NODE__NODE__NOT_SET) return -1;
    const ProtobufCMessage *inside =
        (const ProtobufCMessage *)node->alias; /* any member of the union: all are messages */
    int own = own_location(inside);
    return own >= 0 ? own : tree_begin(inside);
}
