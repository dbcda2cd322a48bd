/** Why code cannot be run again in a realm: no error of the app, it only runs fresh each time. */
export class Unproven extends Error {}
