// SPDX-License-Identifier: Apache-2.0
// What mongod 5.0 asks of libcurl when it starts, and nothing more: it links libcurl for calls home (free monitoring, cloud
// key providers), and they are off in the tests. The real library is there on no system of today under the symbol version
// that this mongod names (libcurl_stub.map). Every transfer fails; mongod is content if https and TLS are said to be there.
#include <stddef.h>

enum { kFailed = 2 /* CURLE_FAILED_INIT */, kSslFeature = 1 << 2 };

// The beginning of curl_version_info_data, as it has been since libcurl's first version of it.
static const char* const kProtocols[] = {"https", NULL};
static const struct {
  int age;
  const char* version;
  unsigned int version_number;
  const char* host;
  int features;
  const char* ssl_version;
  long ssl_version_number;
  const char* libz_version;
  const char* const* protocols;
} kVersion = {0, "7.64.0", 0x074000, "none", kSslFeature, "none", 0, NULL, kProtocols};

const void* curl_version_info(int age) { return (void)age, &kVersion; }
int curl_global_init(long flags) { return (void)flags, 0; }
void curl_global_cleanup(void) {}
void* curl_easy_init(void) { return NULL; }
void curl_easy_cleanup(void* handle) { (void)handle; }
int curl_easy_setopt(void* handle, int option, ...) { return (void)handle, (void)option, kFailed; }
int curl_easy_perform(void* handle) { return (void)handle, kFailed; }
int curl_easy_getinfo(void* handle, int info, ...) { return (void)handle, (void)info, kFailed; }
const char* curl_easy_strerror(int code) { return (void)code, "libcurl is a stub here"; }
void* curl_slist_append(void* list, const char* string) { return (void)list, (void)string, NULL; }
void curl_slist_free_all(void* list) { (void)list; }
