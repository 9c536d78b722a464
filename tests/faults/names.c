/* A name whose addresses a file decides, look-up by look-up. Loaded before elbow (LD_PRELOAD), it answers for the name in
 * FAULTS_NAME with the addresses in the file FAULTS_ADDRESSES, or not at all if there are none, and leaves every other
 * name to the C library.
 *
 * nss_wrapper, which can do this too, crashes when its file changes while several threads look names up.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int lookup(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    lookup *real = (lookup *)dlsym(RTLD_NEXT, "getaddrinfo");
    const char *name = getenv("FAULTS_NAME");
    if (!node || !name || strcmp(node, name) != 0)
        return real(node, service, hints, result);

    FILE *file = fopen(getenv("FAULTS_ADDRESSES"), "r");
    char address[64];
    struct addrinfo **end = result;
    *result = NULL;
    while (file && fscanf(file, "%63s", address) == 1 && real(address, service, hints, end) == 0)
        while (*end)
            end = &(*end)->ai_next;
    if (file)
        fclose(file);
    return *result ? 0 : EAI_NONAME;
}
