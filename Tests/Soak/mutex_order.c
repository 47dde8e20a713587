/* Preloaded into a Weir that was built with ThreadSanitizer: tells it of what it cannot see.
 *
 * Of Synchronization's Mutex, locking and unlocking without contention is compiled into the program, and so
 * seen. A mutex that somebody waits for is handed over by the library, which is not built with
 * ThreadSanitizer, and by the kernel (FUTEX_LOCK_PI): all that the mutex guards would look like a race,
 * now and then. These two functions of the library are called through here, and ThreadSanitizer learns
 * that the one before happens before the one after. Nothing is left out: what is not guarded is reported
 * as ever. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>

extern void __tsan_acquire(void *address);
extern void __tsan_release(void *address);

#define SELF __attribute__((swift_context)) void *self
#define LOCK_SLOWLY $s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF
#define UNLOCK_SLOWLY $s15Synchronization12_MutexHandleV11_unlockSlowyyF
#define TEXT(name) #name
#define NAME(name) TEXT(name)

typedef __attribute__((swiftcall)) void lock_slowly(uint32_t thread, SELF);
typedef __attribute__((swiftcall)) void unlock_slowly(SELF);

__attribute__((swiftcall)) void LOCK_SLOWLY(uint32_t thread, SELF) {
    ((lock_slowly *)dlsym(RTLD_NEXT, NAME(LOCK_SLOWLY)))(thread, self);
    __tsan_acquire(self);
}

__attribute__((swiftcall)) void UNLOCK_SLOWLY(SELF) {
    __tsan_release(self);
    ((unlock_slowly *)dlsym(RTLD_NEXT, NAME(UNLOCK_SLOWLY)))(self);
}
