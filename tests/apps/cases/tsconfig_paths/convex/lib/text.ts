export const text = "from lib";
