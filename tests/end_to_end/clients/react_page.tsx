/** A page of React components that note what they render. Each scenario (react_scenarios.mjs) mounts
 * the component it needs and reads `window.seen`. */
import {
  Authenticated,
  AuthLoading,
  ConvexProvider,
  ConvexProviderWithAuth,
  ConvexReactClient,
  Unauthenticated,
  useMutation,
  usePaginatedQuery,
  useQuery,
} from "convex/react";
import { anyApi as api } from "convex/server";
import { Component, useCallback, useMemo, useSyncExternalStore, type ReactNode } from "react";
import { createRoot } from "react-dom/client";

const seen: unknown[] = [];
const answers: unknown[] = [];
const note = (value: unknown) => {
  if (JSON.stringify(value) !== JSON.stringify(seen.at(-1))) seen.push(value);
};

class Boundary extends Component<{ children: ReactNode }> {
  override state = { error: null as any };
  static getDerivedStateFromError(error: unknown) {
    return { error };
  }
  override render() {
    const { error } = this.state;
    if (error === null) return this.props.children;
    note({ caught: error.data });
    return null;
  }
}

/** Two readers of one query, as pages have them. */
function List({ room }: { room: string | null }) {
  const args = room === null ? "skip" : { room };
  const [first, second] = [useQuery(api.entries!.list!, args), useQuery(api.entries!.list!, args)];
  note({ room, list: first ?? "undefined", isSame: first === second });
  return null;
}

function Sender({ room }: { room: string }) {
  const list = useQuery(api.entries!.list!, { room });
  const add = useMutation(api.entries!.add!).withOptimisticUpdate((store, { numbers }) => {
    const now = store.getQuery(api.entries!.list!, { room });
    if (now !== undefined) store.setQuery(api.entries!.list!, { room }, [...now, ...numbers]);
  });
  Object.assign(window, {
    send: async (number: number) => {
      try {
        await add({ room, numbers: [number] });
        answers.push({ done: number });
      } catch (error) {
        answers.push({ refused: number, data: (error as any).data });
      }
    },
  });
  note({ list: list ?? "undefined" });
  return null;
}

function Pages({ room }: { room: string }) {
  const { results, status, loadMore } = usePaginatedQuery(
    api.entries!.page!,
    { room },
    { initialNumItems: 3 },
  );
  Object.assign(window, { loadMore });
  note({ results, status });
  return null;
}

/** The application's side of signing in: `signIn(tokens)` uses up one token per request. */
const session = {
  state: { isLoading: true, isAuthenticated: false },
  tokens: [] as string[],
  fetches: 0,
  listeners: new Set<() => void>(),
};

function become(state: typeof session.state, tokens: string[]) {
  Object.assign(session, { state, tokens });
  for (const listener of session.listeners) listener();
}

function useSession() {
  const state = useSyncExternalStore(
    (listener) => {
      session.listeners.add(listener);
      return () => session.listeners.delete(listener);
    },
    () => session.state,
  );
  const fetchAccessToken = useCallback(async () => {
    session.fetches += 1;
    return (session.tokens.length > 1 ? session.tokens.shift() : session.tokens[0]) ?? null;
  }, [state]);
  return useMemo(() => ({ ...state, fetchAccessToken }), [state, fetchAccessToken]);
}

function Say({ what }: { what: string }) {
  note(what);
  return null;
}

function Me() {
  note({ me: useQuery(api.entries!.whoAmI!, {}) ?? "undefined" });
  return null;
}

const client = new ConvexReactClient(new URLSearchParams(location.search).get("backend")!);
const root = createRoot(document.getElementById("root")!);
const show = (element: ReactNode) =>
  root.render(
    <ConvexProvider client={client}>
      <Boundary>{element}</Boundary>
    </ConvexProvider>,
  );

Object.assign(window, {
  seen,
  answers,
  call: (name: string, args: any) => client.mutation(api.entries![name]!, args),
  showList: (room: string | null) => show(<List room={room} />),
  showSender: (room: string) => show(<Sender room={room} />),
  showPages: (room: string) => show(<Pages room={room} />),
  showAccount: () =>
    root.render(
      <ConvexProviderWithAuth client={client} useAuth={useSession}>
        <AuthLoading>
          <Say what="loading" />
        </AuthLoading>
        <Unauthenticated>
          <Say what="signed out" />
        </Unauthenticated>
        <Authenticated>
          <Me />
        </Authenticated>
      </ConvexProviderWithAuth>,
    ),
  signIn: (tokens: string[]) => become({ isLoading: false, isAuthenticated: true }, tokens),
  signOut: () => become({ isLoading: false, isAuthenticated: false }, []),
  fetches: () => session.fetches,
});
