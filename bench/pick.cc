// A ceiling for queries over a file: simdjson's on-demand parser picks three fields of each line of
// a file and adds them up, on one thread, and does nothing else.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <simdjson.h>
#include <sys/mman.h>
#include <sys/stat.h>

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: pick FILE\n");
        return 2;
    }
    int fd = open(argv[1], O_RDONLY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        perror(argv[1]);
        return 1;
    }
    size_t size = (size_t)st.st_size;
    auto *map = static_cast<const char *>(mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0));
    if (map == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    simdjson::ondemand::parser parser;
    std::vector<char> copy; // of the last lines: the parser reads some bytes past a document's end
    size_t rows = 0, bytes = 0;
    double sum = 0;
    for (const char *at = map, *end = map + size; at < end;) {
        auto *newline = static_cast<const char *>(memchr(at, '\n', size_t(end - at)));
        const char *stop = newline ? newline : end;
        size_t length = size_t(stop - at);
        simdjson::padded_string_view view;
        if (size_t(end - stop) >= simdjson::SIMDJSON_PADDING) {
            view = simdjson::padded_string_view(at, length, length + simdjson::SIMDJSON_PADDING);
        } else {
            copy.assign(at, stop);
            copy.resize(length + simdjson::SIMDJSON_PADDING);
            view = simdjson::padded_string_view(copy.data(), length, copy.size());
        }
        try {
            simdjson::ondemand::document document = parser.iterate(view);
            sum += double(document["value"]);
            bytes += std::string_view(document["deviceId"]).size();
            bytes += std::string_view(document["createdAt"]).size();
            rows++;
        } catch (const simdjson::simdjson_error &) {
            // a broken record: the same lines are dead letters to the program
        }
        at = stop + 1;
    }
    printf("%zu rows, %zu bytes, %.3f\n", rows, bytes, sum);
}
