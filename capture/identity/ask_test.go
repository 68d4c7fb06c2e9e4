package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// hangingAsker asks one who answers nothing about some tokens, until the time is up.
func hangingAsker(hangs func(token string) bool) (a *asker[string], questions, told *atomic.Int64) {
	questions, told = new(atomic.Int64), new(atomic.Int64)
	a = newAsker[string](nil, func(string, error) { told.Add(1) }, "away", "back")
	a.question = func(ctx context.Context, token string) (string, time.Time, error) {
		questions.Add(1)
		if hangs(token) {
			<-ctx.Done()
			return "", time.Time{}, absent{error: ctx.Err()}
		}
		return "whose " + token + " is", time.Now().Add(time.Hour), nil
	}
	return a, questions, told
}

func TestTokenThatTheServerHangsOnCostsOthersNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, _ := hangingAsker(func(token string) bool { return strings.HasPrefix(token, "odd") })
		for n := range 10 {
			odd, good := fmt.Sprint("odd ", n), fmt.Sprint("good ", n)
			if _, err := a.ask(t.Context(), odd, odd); err == nil {
				t.Errorf("%s is answered", odd)
			}
			synctest.Wait()
			if got, err := a.ask(t.Context(), good, good); err != nil || got != "whose "+good+" is" {
				t.Errorf("%s: %q, %v", good, got, err)
			}
			if !a.mute(odd) {
				t.Errorf("%s would be asked about again", odd)
			}
		}
	})
}

// However many ask one that hangs, no more than so many questions are put to it before
// it is left alone.
func TestServerThatHangsIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var back atomic.Bool
		a, questions, told := hangingAsker(func(string) bool { return !back.Load() })
		var all sync.WaitGroup
		began := time.Now()
		for n := range 4 * MaxQuestions {
			all.Go(func() {
				if _, err := a.ask(t.Context(), fmt.Sprint(n), fmt.Sprint(n)); err == nil {
					t.Error("a question was answered")
				}
				if waited := time.Since(began); waited > AskTimeout {
					t.Errorf("who asked has waited for %s", waited)
				}
			})
		}
		all.Wait()
		time.Sleep(AskTimeout) // while it is probed
		synctest.Wait()
		if n := questions.Load(); n != MaxQuestions+1 || told.Load() != 1 {
			t.Errorf("%d questions, %d were told of", n, told.Load())
		}
		if _, err := a.ask(t.Context(), "late", "late"); !errors.Is(err, errResting) || questions.Load() != MaxQuestions+1 {
			t.Errorf("after that: %v after %d questions", err, questions.Load())
		}
		back.Store(true)
		time.Sleep(AskRest)
		if _, err := a.ask(t.Context(), "late", "late"); err != nil || told.Load() != 2 {
			t.Errorf("when it is back: %v", err)
		}
	})
}
