/* An agent that needs nothing but a C library, if that: it tells what it finds. The answer to an invocation has a line
 * for each thing, and one for each path that the body names, one a line:
 *   path PATH MODE UID GID LINKS INODE SIZE FIRST-BYTES-OR-LINK-TARGET
 * WITNESS_PORT and WITNESS_ADDRESS ("loopback6") put it where nobody looks. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

static void tell_path(FILE *out, const char *path) {
    struct stat found;
    char text[64] = "";
    if (lstat(path, &found) != 0) {
        fprintf(out, "path %s missing\n", path);
        return;
    }
    if (S_ISLNK(found.st_mode)) {
        ssize_t length = readlink(path, text, sizeof text - 1);
        text[length < 0 ? 0 : length] = 0;
    } else if (S_ISREG(found.st_mode)) {
        FILE *file = fopen(path, "r");
        if (file != NULL) {
            if (fgets(text, sizeof text, file) == NULL) text[0] = 0;
            fclose(file);
        }
        text[strcspn(text, "\n")] = 0;
    }
    fprintf(out, "path %s %o %u %u %lu %lu %lld %s\n", path, found.st_mode, found.st_uid, found.st_gid,
            (unsigned long)found.st_nlink, (unsigned long)found.st_ino, (long long)found.st_size, text);
}

static void tell(FILE *out, int argc, char **argv, char *body) {
    char folder[4096] = "";
    gid_t groups[64];
    int count = getgroups(64, groups);
    fprintf(out, "uid %u\ngid %u\ncwd %s\ngroups", getuid(), getgid(), getcwd(folder, sizeof folder));
    for (int each = 0; each < count; each++) fprintf(out, " %u", groups[each]);
    fprintf(out, "\n");
    for (int each = 0; each < argc; each++) fprintf(out, "argument %s\n", argv[each]);
    for (char **variable = environ; *variable != NULL; variable++) fprintf(out, "variable %s\n", *variable);
    FILE *scratch = fopen("/tmp/written", "w");
    fprintf(out, "writes-tmp %s\n", scratch == NULL ? strerror(errno) : "yes");
    if (scratch != NULL) fclose(scratch);
    for (char *path = strtok(body, "\n"); path != NULL; path = strtok(NULL, "\n")) tell_path(out, path);
}

static void serve(int client, int argc, char **argv) {
    static char request[256 * 1024];
    size_t length = 0, wanted = 0;
    char *body = NULL;
    while (length < sizeof request - 1 && (body == NULL || length < wanted)) {
        ssize_t got = read(client, request + length, sizeof request - 1 - length);
        if (got <= 0) break;
        length += (size_t)got;
        request[length] = 0;
        if (body == NULL && (body = strstr(request, "\r\n\r\n")) != NULL) {
            char *size = strcasestr(request, "\r\ncontent-length:");
            body += 4;
            wanted = (size_t)(body - request) + (size != NULL && size < body ? strtoul(size + 17, NULL, 10) : 0);
        }
    }
    char *answer = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&answer, &size);
    int ping = strncmp(request, "GET /ping", 9) == 0;
    if (ping) fputs("{\"status\": \"Healthy\"}", out);
    else tell(out, argc, argv, body == NULL ? request + length : body);
    fclose(out);
    dprintf(client, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
            ping ? "application/json" : "text/plain", size);
    for (size_t sent = 0; sent < size;) {
        ssize_t done = write(client, answer + sent, size - sent);
        if (done <= 0) break;
        sent += (size_t)done;
    }
    free(answer);
    close(client);
}

int main(int argc, char **argv) {
    const char *port_text = getenv("WITNESS_PORT"), *address = getenv("WITNESS_ADDRESS");
    int listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, off = 0;
    struct sockaddr_in6 place = {.sin6_family = AF_INET6};
    place.sin6_port = htons((unsigned short)(port_text == NULL ? 8080 : atoi(port_text)));
    if (address != NULL && strcmp(address, "loopback6") == 0) place.sin6_addr = in6addr_loopback;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(listener, (struct sockaddr *)&place, sizeof place) != 0 || listen(listener, 64) != 0) {
        perror("listening");
        return 1;
    }
    fprintf(stderr, "listening\n");
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client >= 0) serve(client, argc, argv);
    }
}
