/* The queue: limits, the one item that is always let in, closing, and two threads at once. */
#include "base/queue.h"
#include <pthread.h>
#include <setjmp.h>
#include <cmocka.h>

static int items[4];

static void limits_hold(void **state) {
    (void)state;
    Queue *queue = queue_new(3, 100);
    assert_int_equal(queue_push(queue, &items[0], 1000, 0), OK); /* empty: however large */
    assert_int_equal(queue_push(queue, &items[1], 1, 0), AGAIN);
    assert_int_equal(queue_push(queue, &items[1], 1, 1000), AGAIN);
    assert_true(queue_fill(queue) == 1);
    void *item = NULL;
    assert_int_equal(queue_pop(queue, &item, -1), OK);
    assert_ptr_equal(item, &items[0]);
    assert_int_equal(queue_pop(queue, &item, 0), AGAIN);
    for (int i = 0; i < 3; i++) assert_int_equal(queue_push(queue, &items[i], 10, -1), OK);
    assert_int_equal(queue_push(queue, &items[3], 10, 0), AGAIN);
    assert_int_equal(queue_items(queue), 3);
    queue_close(queue);
    assert_int_equal(queue_push(queue, &items[3], 10, -1), END);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(queue_pop(queue, &item, -1), OK);
        assert_ptr_equal(item, &items[i]);
    }
    assert_int_equal(queue_pop(queue, &item, -1), END);
    queue_free(&queue);
    assert_null(queue);
}

enum { MANY = 20000 };

static void *push_many(void *context) {
    for (uintptr_t i = 1; i <= MANY; i++)
        if (queue_push(context, (void *)i, i % 40, -1) != OK) break;
    queue_close(context);
    return NULL;
}

static void items_pass_between_threads_in_order(void **state) {
    (void)state;
    Queue *queue = queue_new(8, 64);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, push_many, queue), 0);
    void *item = NULL;
    uintptr_t next = 1;
    while (queue_pop(queue, &item, -1) == OK) assert_int_equal((uintptr_t)item, next++);
    assert_int_equal(next, MANY + 1);
    pthread_join(thread, NULL);
    queue_free(&queue);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(items_pass_between_threads_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
