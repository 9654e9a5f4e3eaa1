/* Why a broker does not answer, for people. librdkafka's words tell the symptom, with times and
 * counts that change at every attempt; what users need is which property to look at. Of a
 * certificate that was refused it does not tell why: the reason is caught while it is verified. */
#include "connector/kafka/kafka.h"
#include <stdio.h>

enum { /* of <openssl/x509_vfy.h>, whose numbers librdkafka hands on */
       NOT_YET_VALID = 9,
       EXPIRED = 10,
       OTHER_HOST = 62,
       OTHER_ADDRESS = 64,
};

static const char *of_certificate(int code) {
    switch (code) {
    case NOT_YET_VALID:
    case EXPIRED:
        return "the broker's certificate has expired or is not valid yet; renew it, or correct "
               "this machine's clock";
    case OTHER_HOST:
    case OTHER_ADDRESS:
        return "the broker's certificate does not have this host name (hostname mismatch); "
               "\"bootstrap.servers\" and the broker's advertised listener must say a name that it "
               "has";
    default:
        return "the broker's certificate is not signed by a known authority; \"ssl.ca.location\" "
               "must name the file of the one that signed it";
    }
}

/* What to say instead of librdkafka's words, or behind them. */
static const char *meaning(const KafkaClient *client, int code, const char *reason, bool *instead) {
    *instead = true;
    if (strstr(reason, "certificate verify failed"))
        return of_certificate(atomic_load(&client->certificate));
    if (strstr(reason, "SSL handshake failed: ") &&
        (strstr(reason, "unexpected eof") || strstr(reason, "wrong version") ||
         strstr(reason, "PLAINTEXT")))
        return "SSL handshake failed: the port seems to speak no TLS; correct "
               "\"security.protocol\" or the port";
    if (strstr(reason, "requesting ApiVersion"))
        return "disconnected at the first request: the port seems to want TLS or a login; correct "
               "\"security.protocol\" ('SSL', 'SASL_SSL') or the port";
    *instead = false;
    if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION)
        return "; correct \"sasl.username\", \"sasl.password\" or \"sasl.mechanisms\"";
    return "";
}

/* "Connect to ipv4#10.0.0.1:9092 failed: refused" is "refused" where that address stands before. */
static const char *without_address(const char *text, Str before) {
    static const char begin[] = "Connect to ipv4#";
    const char *address = text + sizeof begin - 1, *end = strstr(text, " failed: ");
    if (strncmp(text, begin, sizeof begin - 1) != 0 || !end || !before.size) return text;
    if (!memmem(before.data, before.size, address, (size_t)(end - address))) return text;
    return end + strlen(" failed: ");
}

void kafka_trouble(const KafkaClient *client, int code, const char *reason, char *out,
                   size_t size) {
    const char *text = strstr(reason, ": ");
    bool first = text && text - reason > 10 && strncmp(text - 10, "/bootstrap", 10) == 0;
    text = text ? text + 2 : reason;
    bool instead;
    const char *more = meaning(client, code, reason, &instead);
    /* Which broker it is stands before it in any case when only the first address is known. */
    Str broker = {reason, first ? 0 : (size_t)(text - reason)};
    text = without_address(text, (Str){reason, (size_t)(text - reason)});
    Str told = str_from(text);
    const char *after = strstr(text, " (after ");
    if (after) told.size = (size_t)(after - text);
    if (instead) told.size = 0;
    snprintf(out, size, "%.*s%.*s%s", STR_ARG(broker), STR_ARG(told), more);
}

static int on_certificate(rd_kafka_t *handle, const char *broker, int32_t number, int *error,
                          int depth, const char *bytes, size_t size, char *why, size_t why_size,
                          void *context) {
    (void)handle, (void)broker, (void)number, (void)depth, (void)bytes, (void)size;
    KafkaClient *client = context;
    if (!*error) return 1;
    atomic_store(&client->certificate, *error);
    snprintf(why, why_size, "%s", of_certificate(*error));
    return 0;
}

void kafka_watch_certificates(rd_kafka_conf_t *conf) {
    rd_kafka_conf_set_ssl_cert_verify_cb(conf, on_certificate);
}
