/** The argument of every vendor script; see `runtime_face.ts`. */
declare const fenchel: import("../runtime_face.ts").RuntimeFace;
