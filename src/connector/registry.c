/* The connectors there are. A new one is a folder, a line here and a line in meson.build. */
#include "connector/connector.h"

extern const Connector file_connector, generator_connector, kafka_connector;

static const Connector *const connectors[] = {&file_connector, &generator_connector,
                                              &kafka_connector};

static const char *const later[] = {"postgres", "cassandra", "redis", "http",
                                    "mqtt",     "amqp",      "blob"};

const Connector *connector_at(int index) {
    return index >= 0 && index < (int)(sizeof connectors / sizeof *connectors) ? connectors[index]
                                                                               : NULL;
}

const Connector *connector_find(const char *name) {
    for (int i = 0; connector_at(i); i++)
        if (strcmp(connector_at(i)->name, name) == 0) return connector_at(i);
    return NULL;
}

bool connector_is_later(const char *name) {
    for (size_t i = 0; i < sizeof later / sizeof *later; i++)
        if (strcmp(later[i], name) == 0) return true;
    return false;
}
