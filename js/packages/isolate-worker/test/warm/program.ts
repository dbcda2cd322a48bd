/**
 * Programs that try to leave something behind for the next execution, or to see what the last one
 * left. Each is the code of a module and of a function in it. The function returns what it finds
 * before it leaves its own trace, so that fresh contexts give the same result each time.
 */

export interface Program {
  name: string;
  module: string;
  run: string;
}

export const program = (name: string, module: string, run: string): Program => ({
  name,
  module,
  run,
});
