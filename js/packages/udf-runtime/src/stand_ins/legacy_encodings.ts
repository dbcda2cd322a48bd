/** In place of the URL package's tables of encodings that only documents can ask for. */
export {};
