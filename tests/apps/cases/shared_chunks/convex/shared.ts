export const value = "not a function either";
