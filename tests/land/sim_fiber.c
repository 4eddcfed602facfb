/* Fibers: a lander's own stack, which runs until it waits. */
#include "tests/land/sim.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#define SIM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SIM_ASAN 1
#endif
#endif
#ifdef SIM_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

#define STACK_SIZE (1u << 20)

struct fiber {
        ucontext_t context, scheduler;
        void *stack;
        struct lander *lander;
        void (*main)(struct lander *lander);
        bool running, ended;
        void *fake_stack, *scheduler_fake_stack;
        const void *scheduler_stack;
        size_t scheduler_stack_size;
};

static void entered(struct fiber *fiber)
{
#ifdef SIM_ASAN
        __sanitizer_finish_switch_fiber(fiber->fake_stack, &fiber->scheduler_stack,
                                        &fiber->scheduler_stack_size);
#else
        (void)fiber;
#endif
}

static void yield(struct fiber *fiber)
{
#ifdef SIM_ASAN
        __sanitizer_start_switch_fiber(fiber->ended ? NULL : &fiber->fake_stack,
                                       fiber->scheduler_stack, fiber->scheduler_stack_size);
#endif
        fiber->running = false;
        swapcontext(&fiber->context, &fiber->scheduler);
        entered(fiber);
}

static void resume(struct fiber *fiber)
{
        assert(!fiber->running && !fiber->ended);
        fiber->running = true;
#ifdef SIM_ASAN
        __sanitizer_start_switch_fiber(&fiber->scheduler_fake_stack, fiber->stack, STACK_SIZE);
#endif
        swapcontext(&fiber->scheduler, &fiber->context);
#ifdef SIM_ASAN
        __sanitizer_finish_switch_fiber(fiber->scheduler_fake_stack, NULL, NULL);
#endif
}

static void fiber_main(unsigned high, unsigned low)
{
        struct fiber *fiber = (struct fiber *)(((uintptr_t)high << 32) | low);

        entered(fiber);
        fiber->main(fiber->lander);
        fiber->lander->done = true;
        fiber->ended = true;
        yield(fiber);
        abort();
}

void lander_yield(struct lander *lander)
{
        yield(lander->fiber);
}

void lander_resume(struct lander *lander)
{
        resume(lander->fiber);
}

void lander_free(struct lander *lander)
{
        if (lander->fiber)
                munmap(lander->fiber->stack, STACK_SIZE);
        free(lander->fiber);
        lander->fiber = NULL;
}

static void wake(struct world *world, void *arg)
{
        struct lander *lander = arg;

        (void)world;
        resume(lander->fiber);
}

void lander_sleep(struct lander *lander, uint64_t ns)
{
        if (lander->crashed)
                return;
        world_after(lander->world, ns, wake, lander);
        yield(lander->fiber);
}

bool lander_start(struct lander *lander, void (*main)(struct lander *lander), uint64_t delay_ns)
{
        struct fiber *fiber = calloc(1, sizeof(*fiber));

        if (!fiber)
                return false;
        fiber->stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (fiber->stack == MAP_FAILED) {
                free(fiber);
                return false;
        }
        fiber->lander = lander;
        fiber->main = main;
        getcontext(&fiber->context);
        fiber->context.uc_stack.ss_sp = fiber->stack;
        fiber->context.uc_stack.ss_size = STACK_SIZE;
        makecontext(&fiber->context, (void (*)(void))fiber_main, 2,
                    (unsigned)((uintptr_t)fiber >> 32), (unsigned)(uintptr_t)fiber);
        lander->fiber = fiber;
        world_after(lander->world, delay_ns, wake, lander);
        return true;
}
